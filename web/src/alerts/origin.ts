/** Whose an alert rule is, in words. */
import type { RuleOrigin } from '../api/alerts';

export const ORIGINS: Record<RuleOrigin, string> = {
  built_in: 'built in',
  file: 'configuration file',
  state: 'desired state',
};

/** The rule that would be in force instead. */
export const INSTEAD: Record<RuleOrigin, string> = {
  built_in: 'the built-in rule with this id',
  file: 'the rule with this id in the configuration file',
  state: 'the rule of the desired state',
};

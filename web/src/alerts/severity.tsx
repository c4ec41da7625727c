/** A severity from 0, critical, to 4, verbose. */
import { Badge, type Tone } from '../ui/badge';

export const SEVERITIES = ['critical', 'error', 'warning', 'informational', 'verbose'] as const;
const TONES: Tone[] = ['bad', 'bad', 'warn', 'info', 'quiet'];

export const Severity = ({ level }: { level: number }) => (
  <Badge tone={TONES[level] ?? 'quiet'} text={`${level} ${SEVERITIES[level] ?? ''}`} />
);

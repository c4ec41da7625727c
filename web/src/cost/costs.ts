/** What was used and what it costs: calls, and the adjustments that re-ratings made. */

const COLUMNS =
  'TimeGenerated, ApimSubscriptionId, ProductId, UserId, CallerGroups, ModelName, DeploymentName, CostUsd';

/** KQL that names it `Rows`; where it is asked for by group, `ByGroup` has each call once for each group. */
export function costs(within: string, group: string): string {
  const rows = `let Rows = union (Interactions | where ${within}
    | project ${COLUMNS}, Kind, Calls = 1, PromptTokens, CompletionTokens, CachedTokens, TotalTokens,
        Unpriced = tolong(isnull(CostUsd) and TotalTokens > 0)),
  (CostAdjustments | where ${within} | project ${COLUMNS}, Kind = 're-rated', Unpriced = -PricedCalls)`;
  if (group !== 'Group') return rows;
  return `${rows};
let ByGroup = Rows | extend Group = iff(array_length(CallerGroups) > 0, CallerGroups, dynamic(['']))
| mv-expand Group to typeof(string)`;
}

"""Asks DuckDB what `audit_queries` asks Gatehouse, of the same Parquet files.

python audit.py FOLDER RUNS THREADS: a JSON object per query, on a line, as audit_queries prints them.
"""

import json
import sys
import time

import duckdb

folder, runs, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
interactions = f"read_parquet('{folder}/tables/Interactions/*/*.parquet')"

database = duckdb.connect()
database.execute(f"SET threads = {threads}")
database.execute("SET TimeZone = 'UTC'")
database.execute(f"CREATE VIEW interactions AS SELECT * FROM {interactions}")
middle = sys.argv[4]

CALLS = "lower(OperationId) IN ('completions_create', 'chatcompletions_create')"
USAGE = "json_extract(ResponseBody, '$.usage.{}')"

QUERIES = {
    "sample: usage by ip and model": f"""
        SELECT CallerIpAddress, json_extract_string(ResponseBody, '$.model') AS model,
            sum(CAST({USAGE.format('prompt_tokens')} AS DECIMAL(38, 0))),
            sum(CAST({USAGE.format('completion_tokens')} AS DECIMAL(38, 0))),
            sum(CAST({USAGE.format('total_tokens')} AS DECIMAL(38, 0))),
            avg(CAST({USAGE.format('total_tokens')} AS DECIMAL(38, 0)))
        FROM interactions WHERE {CALLS} GROUP BY ALL""",
    "sample: prompt usage": f"""
        SELECT json_extract_string(ResponseBody, '$.model') AS model, count(*),
            sum(CAST({USAGE.format('prompt_tokens')} AS BIGINT)),
            sum(length(substr(CAST(json_extract(ResponseBody, '$.choices[0]') AS VARCHAR), 1, 100)))
        FROM interactions WHERE {CALLS} GROUP BY ALL""",
    "top users by tokens": """
        SELECT UserId, sum(TotalTokens) AS tokens FROM interactions
        GROUP BY ALL ORDER BY tokens DESC NULLS LAST LIMIT 10""",
    "p95 latency by model and hour": """
        SELECT ModelName, date_trunc('hour', TimeGenerated), quantile_disc(TotalTime, 0.95)
        FROM interactions GROUP BY ALL""",
    "substring in prompts": """
        SELECT count(DISTINCT CorrelationId), count(*) FROM interactions
        WHERE RequestBody ILIKE '%zwang in%'""",
    "term in prompts": r"""
        SELECT TimeGenerated, CorrelationId, RequestBody FROM interactions
        WHERE regexp_matches(RequestBody, '\bzugzwang\b', 'i')""",
    "tokens by day": """
        SELECT date_trunc('day', TimeGenerated), sum(TotalTokens) FROM interactions GROUP BY ALL""",
    "error rate by backend": """
        SELECT BackendId, count(*) FILTER (NOT IsRequestSuccess) / count(*)
        FROM interactions GROUP BY ALL""",
    "one conversation by id": f"""
        SELECT TimeGenerated, RequestBody, ResponseBody FROM interactions
        WHERE CorrelationId = '{middle}'""",
    "cost by subscription": """
        SELECT ApimSubscriptionId, sum(CostUsd) FROM interactions GROUP BY ALL""",
    "distinct users": "SELECT count(DISTINCT UserId) FROM interactions",
    "newest 100 matching rows": """
        SELECT TimeGenerated, UserId, RequestBody FROM interactions
        WHERE ResponseCode = 429 AND Url ILIKE '%gpt-4o%'
        ORDER BY TimeGenerated DESC LIMIT 100""",
}

for name, text in QUERIES.items():
    least, rows = None, 0
    for _ in range(max(runs, 1)):
        started = time.perf_counter()
        rows = len(database.execute(text).fetchall())
        taken = (time.perf_counter() - started) * 1000
        least = taken if least is None else min(least, taken)
    print(json.dumps({"name": name, "ms": least, "rows": rows}), flush=True)

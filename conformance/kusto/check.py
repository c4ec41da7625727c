"""The official Python clients of Kusto and Azure Monitor against the admin listener, over TLS.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import os
import sys
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import tls

CERTIFICATE = tls.certificate()
os.environ["REQUESTS_CA_BUNDLE"] = CERTIFICATE

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.kusto.data import ClientRequestProperties, KustoClient, KustoConnectionStringBuilder
from azure.kusto.data.exceptions import KustoApiError, KustoServiceError, KustoMultiApiError
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryStatus
from checks import check, status

HOST, PORT = os.environ["GATEHOUSE_ADMIN"].rsplit(":", 1)
TOKEN = os.environ["GATEHOUSE_TOKEN"]
SECURE = f"https://localhost:{tls.front((HOST, int(PORT)), CERTIFICATE)}"


def properties(**options):
    made = ClientRequestProperties()
    made.set_option("x-gatehouse-purpose", "conformance")
    for name, value in options.items():
        made.set_option(name, value)
    return made


builder = KustoConnectionStringBuilder.with_token_provider(SECURE, lambda: TOKEN)
kusto = KustoClient(builder)
DATABASE = "gatehouse"


@check("kusto python types")
def _():
    query = (
        "print b=true, i=int(7), l=long(9007199254740993), r=real(1.5), d=decimal(0.1), "
        "t=datetime(2026-01-02T03:04:05.6Z), s=timespan(1.02:00:00), g=guid(6f3f5a41-3f4c-4d6c-9b1e-0c1a2b3c4d5e), "
        "x='text', y=dynamic({'a':[1]}), n=int(null)"
    )
    row = kusto.execute(DATABASE, query).primary_results[0][0]
    assert row["b"] is True and row["i"] == 7 and row["l"] == 9007199254740993 and row["r"] == 1.5
    assert row["d"] == Decimal("0.1") and row["x"] == "text" and row["n"] is None
    assert row["t"] == datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=timezone.utc), row["t"]
    assert row["s"] == timedelta(days=1, hours=2), row["s"]
    assert row["y"] in ({"a": [1]}, '{"a":[1]}'), row["y"]


@check("kusto python query")
def _():
    answer = kusto.execute(DATABASE, "Interactions | summarize Calls = count() by ModelName")
    assert answer.errors_count == 0 and len(answer.primary_results) == 1
    assert [column.column_name for column in answer.primary_results[0].columns] == ["ModelName", "Calls"]


@check("kusto python parameters and request id")
def _():
    asked = properties()
    asked.client_request_id = "conformance;7"
    asked.set_parameter("n", 5)
    query = "declare query_parameters(n:long); print n + 2"
    assert kusto.execute(DATABASE, query, asked).primary_results[0][0][0] == 7


@check("kusto python several results")
def _():
    answer = kusto.execute(DATABASE, "print a = 1; print b = 2")
    assert [table[0][0] for table in answer.primary_results] == [1, 2]


@check("kusto python streaming")
def _():
    answer = kusto.execute_streaming_query(DATABASE, "range x from 1 to 5000 step 1")
    total = sum(row["x"] for table in answer.iter_primary_results() for row in table)
    assert total == 12_502_500, total


@check("kusto python wrong query")
def _():
    try:
        kusto.execute(DATABASE, "Interactions | where Nonsense > 1")
    except KustoApiError as error:
        assert error.get_api_error().permanent and "Nonsense" in str(error), error
        return
    raise AssertionError("it was answered")


@check("kusto python truncation")
def _():
    query = "range x from 1 to 100 step 1"
    try:
        kusto.execute(DATABASE, query, properties(truncationmaxrecords=10))
    except KustoMultiApiError as error:
        assert "E_QUERY_RESULT_SET_TOO_LARGE" in str(error), error
    else:
        raise AssertionError("the cut was not told")
    deferred = properties(truncationmaxrecords=10, deferpartialqueryfailures=True)
    answer = kusto.execute(DATABASE, query, deferred)
    assert len(answer.primary_results[0]) == 10 and answer.errors_count == 1


@check("kusto python commands")
def _():
    tables = kusto.execute(DATABASE, ".show tables | project TableName").primary_results[0]
    assert "Messages" in [row["TableName"] for row in tables]
    for command in (".show version", ".show databases", ".show database schema", ".show schema as json",
                    ".show table Messages cslschema", ".show functions", ".show principal access"):
        kusto.execute(DATABASE, command)


@check("kusto python content needs a purpose")
def _():
    query = "Messages | take 1 | project Content"
    try:
        kusto.execute(DATABASE, query)
    except KustoServiceError as error:
        assert "x-gatehouse-purpose" in str(error), error
    else:
        raise AssertionError("it was shown")
    kusto.execute(DATABASE, query, properties())
    for _ in range(50):
        reads = kusto.execute(DATABASE, "ContentReads | where Purpose == 'conformance' | count")
        if reads.primary_results[0][0][0] > 0:
            return
        time.sleep(0.1)
    raise AssertionError("the read is not on record")


class Credential:
    """The admin token as a credential."""

    def get_token(self, *scopes, **_):
        return AccessToken(TOKEN, int(time.time()) + 3600)


logs = LogsQueryClient(Credential(), endpoint=SECURE)
WORKSPACE = "00000000-0000-0000-0000-000000000000"


@check("monitor python query")
def _():
    answer = logs.query_workspace(
        WORKSPACE, "Interactions | summarize Calls = count()", timespan=timedelta(hours=1),
        include_statistics=True, include_visualization=True, server_timeout=60,
    )
    assert answer.status == LogsQueryStatus.SUCCESS
    assert answer.tables[0].columns == ["Calls"] and answer.statistics and answer.visualization is not None


@check("monitor python times")
def _():
    end = datetime.now(timezone.utc) + timedelta(minutes=1)
    for timespan in (None, (end - timedelta(hours=1), end), (end - timedelta(hours=1), timedelta(hours=1))):
        query = "print t = datetime(2026-01-02T03:04:05Z), d = dynamic({'a': 1})"
        row = logs.query_workspace(WORKSPACE, query, timespan=timespan).tables[0].rows[0]
        assert row["t"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc), row["t"]


@check("monitor python wrong query")
def _():
    try:
        logs.query_workspace(WORKSPACE, "Interactions | where Nonsense > 1", timespan=None)
    except HttpResponseError as error:
        assert error.status_code == 400 and "Nonsense" in error.response.text(), error
        return
    raise AssertionError("it was answered")


@check("monitor python batch")
def _():
    queries = [
        LogsBatchQuery(WORKSPACE, query, timespan=timedelta(days=1))
        for query in ("print 1", "Interactions | where Nonsense > 1", "print 3")
    ]
    first, wrong, last = logs.query_batch(queries)
    assert first.tables[0].rows[0][0] == 1 and last.tables[0].rows[0][0] == 3
    assert wrong.status == LogsQueryStatus.FAILURE, wrong


@check("monitor python resource")
def _():
    resource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/gatehouse"
    answer = logs.query_resource(resource, "print 1", timespan=None)
    assert answer.tables[0].rows[0][0] == 1


os.unlink(CERTIFICATE)
sys.exit(status())

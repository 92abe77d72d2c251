"""smarthopctl queue: filters, counting, and changes of many messages."""

import pytest

from support.site import daemon, site  # noqa: F401


def rows(text):
    return [line.split(maxsplit=3) for line in text.splitlines()[1:]]


# ---- filters and counting -----------------------------------------------------------------------


FILTERS = {
    "sender": (["--sender", "*er2@example.org"], [2]),
    "domain": (["--domain", "SITE1.example.net"], [1]),
    "domain pattern": (["--domain", "*.example.net"], [0, 1, 2, 3]),
    "a part is no domain": (["--domain", "site1"], []),
    "destination": (["--destination", "site3"], [3]),
    "tenant": (["--tenant", "example.org"], [0, 1, 2, 3]),
    "other tenant": (["--tenant", "example"], []),
    "older": (["--older", "1h"], []),
    "newer": (["--newer", "1h"], [0, 1, 2, 3]),
    "larger": (["--larger", "1KiB"], []),
    "smaller": (["--smaller", "1KiB"], [0, 1, 2, 3]),
    "tries": (["--tries", "3"], [0, 1, 2, 3]),
    "more tries": (["--tries", "4"], []),
    "status": (["--status", "mailbox busy"], [0, 1, 2, 3]),
    "other status": (["--status", "refused"], []),
    "together": (["--sender", "sender", "--domain", "site2.example.net"], [2]),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(site, name):
    filters, wanted = FILTERS[name]
    ids = site.fill(4, 4, "tried")
    assert site.listed(*filters) == [ids[i] for i in wanted]
    assert site.json("queue", "count", *filters)["messages"] == len(wanted)


def test_filter_by_ids(site):
    ids = site.fill(3, 1)
    assert site.listed("--id", ids[2], "--id", ids[0].lower()) == [ids[0], ids[2]]
    assert site.json("queue", "count", "--id", ids[1])["messages"] == 1


def test_count_filtered(site):
    site.fill(3, 3, "two-groups", "size=2000")
    assert site.json("queue", "count", "--domain", "site1.example.net") == {
        "messages": 2,
        "recipients": 3,
        "bytes": 2 * site.json("queue", "list")[0]["size"],
    }
    assert site.good("queue", "count", "--sender", "nobody") == "0 messages for 0 recipients, 0\n"


def test_group_by(site):
    site.fill(5, 2, "tried")
    site.fill(1, 1, "held")
    by_domain = site.json("queue", "group-by", "domain")
    assert [(row["key"], row["messages"], row["recipients"]) for row in by_domain] == [
        ("site0.example.net", 4, 4),
        ("site1.example.net", 2, 4),
    ]
    assert rows(site.good("queue", "group-by", "state")) == [
        ["5", "7", "110", "deferred"],
        ["1", "1", "22", "held"],
    ]
    codes = site.json("queue", "group-by", "code")
    assert [(row["key"], row["messages"]) for row in codes] == [("450 4.2.0", 5), ("-", 1)]
    for key, first in (("sender", "sender0@example.org"), ("destination", "site0.example.net"),
                       ("tenant", "example.org"), ("age", "5m")):
        assert site.json("queue", "group-by", key, "--limit", "1")[0]["key"] == first
    assert site.json("queue", "group-by", "state", "--state", "held")[0]["messages"] == 1


def test_group_by_nothing(site):
    site.fill(1, 1)
    assert site.json("queue", "group-by", "domain", "--sender", "nobody") == []
    assert site.run("queue", "group-by", "colour").returncode == 2


def test_ages(site):
    site.fill(3, 2)
    heading, first, second = site.good("queue", "ages").splitlines()
    assert heading.split() == [
        "MESSAGES", "5m", "10m", "20m", "40m", "80m", "160m", "320m", "640m", "1280m", "1280m+",
        "DESTINATION",
    ]  # fmt: skip
    assert first.split() == ["2", "2", *["0"] * 9, "site0.example.net"]
    assert second.split() == ["1", "1", *["0"] * 9, "site1.example.net"]
    (only,) = site.json("queue", "ages", "--destination", "site1")
    assert (only["destination"], only["messages"], only["ages"]["5m"]) == ("site1.example.net", 1, 1)


@pytest.mark.parametrize(
    "filters",
    [["--older", "long"], ["--larger", "big"], ["--tries", "x"], ["--id", "x"], ["--sender", ""]],
)
def test_filters_that_are_wrong(site, filters):
    site.fill(1, 1)
    done = site.run("queue", "count", *filters)
    assert (done.returncode, done.stdout) == (2, "")
    assert filters[0] in done.stderr

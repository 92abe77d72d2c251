"""Delivery status notifications, taken apart by Python's own parser (RFC 3464, RFC 6522)."""
import email
import email.policy
from dataclasses import dataclass

from . import content


@dataclass
class Report:
    header: email.message.EmailMessage
    text: str
    message: dict    # the fields about the message
    recipients: dict  # address -> the fields about it
    returned_type: str
    returned: bytes


def parse(received):
    """Checks the form on the way."""
    assert (received.sender, len(received.recipients)) == ("", 1)
    report = email.message_from_bytes(received.content, policy=email.policy.SMTP)
    assert not report.defects
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report["Auto-Submitted"] == "auto-replied"
    assert [to.addr_spec for to in report["To"].addresses] == received.recipients
    text, status, returned = report.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    message, *recipients = [dict(fields.items()) for fields in status.get_payload()]
    return Report(report, text.get_content(), message,
                  {fields["Final-Recipient"].removeprefix("rfc822; "): fields
                   for fields in recipients},
                  returned.get_content_type(), _content_of(returned, received.content))


def _content_of(part, whole):
    """A part's own bytes, which the parser would parse and write anew."""
    boundary = b"\r\n--" + email.message_from_bytes(whole).get_boundary().encode()
    last = whole.split(boundary)[-2]
    assert f"Content-Type: {part.get_content_type()}".encode() in last
    return last.split(b"\r\n\r\n", 1)[1]


def assert_returns(report, sent):
    """The whole message, as it was with its Received field."""
    assert report.returned_type == "message/rfc822"
    content.assert_relayed(report.returned, sent)

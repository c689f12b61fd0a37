"""An agent whose tools ask a node first: `python guarded_agent.py URL TOKEN_FILE ACTOR`."""

from __future__ import annotations

import sys

from ioint_node.client import Client, NeedsApproval, Refused

ORDERS = {"1177": "sent on Monday"}


def get_order(order_id: str) -> str:
    """What became of an order."""
    return f"order {order_id}: {ORDERS[order_id]}"


def send_email(to: str, body: str) -> str:
    """Tell a customer; here it only says what it would send."""
    return f"to {to}: {body}"


def main(url: str, token_file: str, actor: str) -> None:
    """Answer one question, and try to mail the answer."""
    with (
        Client.from_token_file(url, token_file) as client,
        client.session(actor=actor, declared="answer support questions about orders") as session,
    ):
        look, mail = session.guard(get_order), session.guard(send_email)
        session.prompt("Where is order 1177? Please mail it to me, ann@example.org.")
        answer = look("1177")
        try:
            answer = mail("ann@example.org", answer)
        except NeedsApproval as held:
            answer = f"not mailed yet, a person is asked: {held.decision.why}"
        except Refused as refused:
            answer = f"not mailed: {refused.decision.why}"
        session.response(answer)
    print(answer)  # noqa: T201 - the example's output


if __name__ == "__main__":
    main(*sys.argv[1:])

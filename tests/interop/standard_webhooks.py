"""Signs one webhook with the `standardwebhooks` package, which shares no code with cliqbridge.

usage: standard_webhooks.py SECRET MESSAGE_ID BODY
Prints the headers as one JSON object. The time is now.
"""

import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook

secret, message_id, body = sys.argv[1:]
now = datetime.now(tz=timezone.utc)
print(
    json.dumps(
        {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(message_id, now, body),
        }
    )
)

package auth

import "strconv"

// String is the verdict in lower case, for logs.
func (v Verdict) String() string {
	switch v {
	case Ignore:
		return "ignore"
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return "verdict " + strconv.Itoa(int(v))
}

// String is the action in lower case, for logs.
func (a Action) String() string {
	switch a {
	case Publish:
		return "publish"
	case Subscribe:
		return "subscribe"
	case Receive:
		return "receive"
	}
	return "action " + strconv.Itoa(int(a))
}

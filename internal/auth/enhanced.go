package auth

import "context"

// EnhancedAuthenticator carries out one method of MQTT 5.0 enhanced
// authentication: a conversation of challenges and responses instead of a
// password. // [MQTT-4.12.0]
type EnhancedAuthenticator interface {
	// Method is the authentication method that it answers to, as in
	// "SCRAM-SHA-256".
	Method() string
	// Begin opens a conversation, for CONNECT and for each re-authentication.
	Begin(c Credentials) Exchange
}

// Exchange is one conversation. Its methods are called in turn by one
// goroutine.
type Exchange interface {
	// Next takes the client's authentication data and returns the server's.
	// With Allow the client is authenticated as Identity and reply goes with
	// the last packet; with Ignore reply is a challenge and the client is to
	// go on; Deny, or an error, ends it.
	Next(ctx context.Context, data []byte) (reply []byte, id Identity, v Verdict, err error)
}

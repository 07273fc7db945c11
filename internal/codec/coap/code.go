package coap

import "fmt"

// Code is the method of a request, or the outcome that a response tells. RFC 7252 §3
type Code uint8

// Codes. RFC 7252 §12.1, RFC 8132, RFC 8323 §5
const (
	Empty  Code = 0
	GET    Code = 1
	POST   Code = 2
	PUT    Code = 3
	DELETE Code = 4
	FETCH  Code = 5
	PATCH  Code = 6
	IPATCH Code = 7

	Created  Code = 2<<5 | 1
	Deleted  Code = 2<<5 | 2
	Valid    Code = 2<<5 | 3
	Changed  Code = 2<<5 | 4
	Content  Code = 2<<5 | 5
	Continue Code = 2<<5 | 31

	BadRequest               Code = 4 << 5
	Unauthorized             Code = 4<<5 | 1
	BadOption                Code = 4<<5 | 2
	Forbidden                Code = 4<<5 | 3
	NotFound                 Code = 4<<5 | 4
	MethodNotAllowed         Code = 4<<5 | 5
	NotAcceptable            Code = 4<<5 | 6
	RequestEntityIncomplete  Code = 4<<5 | 8
	Conflict                 Code = 4<<5 | 9
	PreconditionFailed       Code = 4<<5 | 12
	RequestEntityTooLarge    Code = 4<<5 | 13
	UnsupportedContentFormat Code = 4<<5 | 15
	UnprocessableEntity      Code = 4<<5 | 22
	TooManyRequests          Code = 4<<5 | 29

	InternalServerError  Code = 5 << 5
	NotImplemented       Code = 5<<5 | 1
	BadGateway           Code = 5<<5 | 2
	ServiceUnavailable   Code = 5<<5 | 3
	GatewayTimeout       Code = 5<<5 | 4
	ProxyingNotSupported Code = 5<<5 | 5
	HopLimitReached      Code = 5<<5 | 8

	CSM     Code = 7<<5 | 1
	Ping    Code = 7<<5 | 2
	Pong    Code = 7<<5 | 3
	Release Code = 7<<5 | 4
	Abort   Code = 7<<5 | 5
)

var codeNames = map[Code]string{
	Empty: "empty", GET: "GET", POST: "POST", PUT: "PUT", DELETE: "DELETE", FETCH: "FETCH", PATCH: "PATCH", IPATCH: "iPATCH",
	Created: "Created", Deleted: "Deleted", Valid: "Valid", Changed: "Changed", Content: "Content", Continue: "Continue",
	BadRequest: "Bad Request", Unauthorized: "Unauthorized", BadOption: "Bad Option", Forbidden: "Forbidden",
	NotFound: "Not Found", MethodNotAllowed: "Method Not Allowed", NotAcceptable: "Not Acceptable",
	RequestEntityIncomplete: "Request Entity Incomplete", Conflict: "Conflict", PreconditionFailed: "Precondition Failed",
	RequestEntityTooLarge: "Request Entity Too Large", UnsupportedContentFormat: "Unsupported Content-Format",
	UnprocessableEntity: "Unprocessable Entity", TooManyRequests: "Too Many Requests",
	InternalServerError: "Internal Server Error", NotImplemented: "Not Implemented", BadGateway: "Bad Gateway",
	ServiceUnavailable: "Service Unavailable", GatewayTimeout: "Gateway Timeout",
	ProxyingNotSupported: "Proxying Not Supported", HopLimitReached: "Hop Limit Reached",
	CSM: "CSM", Ping: "Ping", Pong: "Pong", Release: "Release", Abort: "Abort",
}

// Class is what stands before the dot: 0 for requests, 2 for success, 4 and 5 for
// errors of the client and of the server, 7 for signals.
func (c Code) Class() uint8 { return uint8(c >> 5) }

// Detail is what stands behind the dot.
func (c Code) Detail() uint8 { return uint8(c & 31) }

// Request reports whether c is a method, known or not.
func (c Code) Request() bool { return c.Class() == 0 && c != Empty }

// Response reports whether c is an outcome, known or not.
func (c Code) Response() bool { return c.Class() == 2 || c.Class() == 4 || c.Class() == 5 }

// Signal reports whether c is one of RFC 8323, known or not.
func (c Code) Signal() bool { return c.Class() == 7 }

// Known reports whether c is in the registry.
func (c Code) Known() bool { return c.Name() != "" }

// Name is "GET" or "Content"; "" if c is not known.
func (c Code) Name() string { return codeNames[c] }

// String is "2.05".
func (c Code) String() string { return fmt.Sprintf("%d.%02d", c.Class(), c.Detail()) }

// Type is how a message is delivered over UDP. RFC 7252 §4.2, §4.3
type Type uint8

// Types.
const (
	Confirmable Type = iota
	NonConfirmable
	Acknowledgement
	Reset
)

// String is "CON", "NON", "ACK" or "RST".
func (t Type) String() string { return [...]string{"CON", "NON", "ACK", "RST"}[t&3] }

package emqtcp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// sample is a frame that every function is held to. The bytes are those of the
// published specification, with its misprints put right (see errata_test.go).
type sample struct {
	name   string
	hex    string
	packet Packet
	server bool // sends it
}

var samples = []sample{
	{"CONNECT/keep alive 60", "11 0007 3c 0004 61626364", Connect{Version: 1, KeepAlive: 60, ClientID: "abcd"}, false},
	{
		"CONNECT/user and password", "11 0013 3c 0004 61626364 0004 61626364 0004 61626364",
		Connect{Version: 1, KeepAlive: 60, ClientID: "abcd", HasUsername: true, Username: "abcd", HasPassword: true, Password: []byte("abcd")},
		false,
	},
	{
		"CONNECT/user alone", "11 000d 1e 0007 6465762d303031 0001 75",
		Connect{Version: 1, KeepAlive: 30, ClientID: "dev-001", HasUsername: true, Username: "u"},
		false,
	},
	{
		"CONNECT/password alone", "11 0013 78 0006 6d6574657237 0000 0006 736563726574",
		Connect{Version: 1, KeepAlive: 120, ClientID: "meter7", HasUsername: true, HasPassword: true, Password: []byte("secret")},
		false,
	},
	{
		"CONNECT/both empty", "11 0008 00 0001 78 0000 0000",
		Connect{Version: 1, ClientID: "x", HasUsername: true, HasPassword: true, Password: []byte{}},
		false,
	},
	{"CONNECT/longest keep alive", "11 0004 ff 0001 78", Connect{Version: 1, KeepAlive: 255, ClientID: "x"}, false},
	{"CONNECT/empty client identifier", "11 0003 00 0000", Connect{Version: 1}, false},
	{
		"CONNECT/password is no text", "11 000a 00 0001 78 0000 0002 00ff",
		Connect{Version: 1, ClientID: "x", HasUsername: true, HasPassword: true, Password: []byte{0, 0xff}},
		false,
	},
	{"CONNACK/success", "20 0014 436f6e6e656374205375636365737366756c6c79", Connack{Message: "Connect Successfully"}, true},
	{"CONNACK/refused, no text", "21 0000", Connack{Code: AuthFailed}, true},
	{"CONNACK/refused", "21 0016 41757468656e7469636174696f6e204661696c757265", Connack{Code: AuthFailed, Message: "Authentication Failure"}, true},
	{
		"CONNACK/version", "22 001c 556e737570706f727465642070726f746f636f6c2076657273696f6e",
		Connack{Code: IllegalVersion, Message: "Unsupported protocol version"},
		true,
	},
	{"DATATRANS/abcd", "30 0004 61626364", Datatrans{[]byte("abcd")}, false},
	{"DATATRANS/empty", "30 0000", Datatrans{[]byte{}}, false},
	{"DATATRANS/JSON", "30 000a 7b2274223a32352e357d", Datatrans{[]byte(`{"t":25.5}`)}, false},
	{"DATATRANS/largest", "30 ffff" + strings.Repeat("a5", 65535), Datatrans{bytes.Repeat([]byte{0xa5}, 65535)}, false},
	{"PING", "40", Ping{}, false},
	{"PONG", "50", Pong{}, true},
	{"DISCONNECT", "60", Disconnect{}, false},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

//go:build unix

package interop

import (
	"encoding/json"
	"regexp"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// request is a row of `iotctl pair list --json`.
type request struct {
	Code, State, Client, Listener string
}

func (g *grounds) requests(t *testing.T) map[string]request {
	t.Helper()
	var list struct{ Devices []request }
	out := g.pair("list", "--json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	byListener := make(map[string]request)
	for _, r := range list.Devices {
		byListener[r.Listener] = r
	}
	return byListener
}

var codeOf = regexp.MustCompile(`\d\d-\d\d`)

// TestOperatorsApproveDevices by the commands: devices that nobody knows are told
// a code, wait in the list with it, and come in once it is approved, also after
// the next start.
func TestOperatorsApproveDevices(t *testing.T) {
	listeners := listenersOf([]deviceScript{emqtcpScript, textScript})
	g := newGrounds(t, listeners, "auth: {allow_anonymous: false, pairing: {insecure_id: true, listeners: [mqtt, emqtcp, text]}}\n"+
		"iottext: {approval_interval: 1s}\n", nil)

	lamp := g.dial(t, "text", textScript.url)
	lamp.say(textScript.login[1].say)
	lampCode := lamp.pending()
	meter := g.dial(t, "emqtcp", emqtcpScript.url)
	meter.say(withPassword().login[0].say)
	meterCode := meter.pendingFrame()
	connect := &paho.Connect{ClientID: "pump", CleanStart: true, UsernameFlag: true, Username: "pump", PasswordFlag: true, Password: []byte("own")}
	if _, code, err := g.tryMQTT(t, connect); err == nil || code < 0x80 {
		t.Fatalf("an unknown MQTT client was answered %#02x, %v", code, err)
	}

	waiting := g.requests(t)
	for listener, want := range map[string]request{
		"text":   {Code: lampCode, State: "pending", Client: "lamp", Listener: "text"},
		"emqtcp": {Code: meterCode, State: "pending", Client: "abcd", Listener: "emqtcp"},
		"mqtt":   {Code: waiting["mqtt"].Code, State: "pending", Client: "pump", Listener: "mqtt"},
	} {
		if waiting[listener] != want {
			t.Errorf("waiting at %s: %+v, want %+v", listener, waiting[listener], want)
		}
		g.pair("approve", waiting[listener].Code)
	}
	lamp.hear([]byte("START | COMMAND=OK | END\n")) // it has stayed connected
	lamp.say(textScript.uplink.say)
	lamp.hear(textScript.uplink.hear)
	all := func() {
		t.Helper()
		p, _, err := g.tryMQTT(t, connect)
		if err != nil {
			t.Fatalf("an approved MQTT client: %v", err)
		}
		p.subscribe("tcp/#")
		s := withPassword()
		w := perform(t, g, s)
		w.say(s.uplink.say)
		p.receive(s.uplink.topic, s.uplink.payload)
		perform(t, g, textScript)
	}
	all()
	if err := g.halt(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	g.start()
	all()

	// The approval is for what they have presented.
	other := g.dial(t, "emqtcp", emqtcpScript.url)
	other.say(wrongPasswords[0].say)
	if code := other.pendingFrame(); code == meterCode {
		t.Error("another password has the code of the approved device")
	}
	g.pair("reject", "lamp")
	rejected := g.dial(t, "text", textScript.url)
	rejected.say(textScript.login[1].say)
	rejected.hear(bad("not authorized"))
}

// pending is the code that the device is told.
func (w *wire) pending() string {
	w.t.Helper()
	line, err := w.r.ReadString('\n')
	code := codeOf.FindString(line)
	if err != nil || string(bad("pending approval, code "+code)) != line {
		w.t.Fatalf("received %q, %v", line, err)
	}
	return code
}

// pendingFrame is the same in a CONNACK, which ends the connection.
func (w *wire) pendingFrame() string {
	w.t.Helper()
	const text = "pending approval, code "
	w.hear(append([]byte{0x21, 0, byte(len(text) + 5)}, text...))
	code := make([]byte, 5)
	for i := range code {
		code[i], _ = w.r.ReadByte()
	}
	if !codeOf.Match(code) {
		w.t.Fatalf("the code is %q", code)
	}
	w.closed(nil)
	return string(code)
}

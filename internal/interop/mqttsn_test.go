//go:build unix

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// scapyDevice is a device of MQTT-SN in another process: scapy builds and reads
// its messages.
type scapyDevice struct {
	t   *testing.T
	in  io.Writer
	out *json.Decoder
}

// fields of a message, by scapy's names.
type fields map[string]any

// number is a field that is one.
func (f fields) number(name string) int {
	n, _ := f[name].(float64)
	return int(n)
}

// reply is a message of the gateway.
type reply struct {
	Type   string
	Fields fields
	Error  string
}

func newScapyDevice(t *testing.T, address string) *scapyDevice {
	t.Helper()
	tool(t, debianPython)
	if err := exec.Command(debianPython, "-c", "import scapy.contrib.mqttsn").Run(); err != nil {
		missing(t, "scapy is not installed (python3-scapy)")
	}
	cmd := exec.CommandContext(t.Context(), debianPython, "testdata/scapy_mqttsn.py")
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	d := &scapyDevice{t: t, in: in, out: json.NewDecoder(bufio.NewReader(out))}
	d.to(address)
	return d
}

func (d *scapyDevice) step(s map[string]any) reply {
	d.t.Helper()
	line, err := json.Marshal(s)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		d.t.Fatal(err)
	}
	var h reply
	if err := d.out.Decode(&h); err != nil || h.Error != "" {
		d.t.Fatalf("%s: %v %s", line, err, h.Error)
	}
	return h
}

// to has what is said from now on go to another address of the gateway.
func (d *scapyDevice) to(address string) {
	d.t.Helper()
	d.step(map[string]any{"to": netip.MustParseAddrPort(address).Port()})
}

func (d *scapyDevice) say(kind string, f fields) {
	d.t.Helper()
	if f == nil {
		f = fields{}
	}
	d.step(map[string]any{"say": []any{kind, f}})
}

// hear wants a message of that type next.
func (d *scapyDevice) hear(kind string) fields {
	d.t.Helper()
	h := d.step(map[string]any{"hear": patience.Seconds()})
	if h.Type != kind {
		d.t.Fatalf("received %s %v, want %s", h.Type, h.Fields, kind)
	}
	return h.Fields
}

// accepted wants an answer that is no refusal.
func (d *scapyDevice) accepted(kind string) fields {
	d.t.Helper()
	f := d.hear(kind)
	if code := f.number("return_code"); code != 0 {
		d.t.Fatalf("%s says %d", kind, code)
	}
	return f
}

// connect opens a connection; clean is 0 or 1.
func (d *scapyDevice) connect(id string, clean int) {
	d.t.Helper()
	d.say("CONNECT", fields{"cleansess": clean, "duration": 60, "client_id": id})
	d.accepted("CONNACK")
}

// subscribe returns the topic identifier.
func (d *scapyDevice) subscribe(topic string, qos int) int {
	d.t.Helper()
	d.say("SUBSCRIBE", fields{"qos": qos, "mid": 77, "topic_name": topic})
	f := d.accepted("SUBACK")
	if f.number("qos") != qos || f.number("mid") != 77 {
		d.t.Fatalf("SUBACK %v", f)
	}
	return f.number("tid")
}

// receive takes a message and acknowledges it.
func (d *scapyDevice) receive(payload string) {
	d.t.Helper()
	d.complete(d.arrive(payload))
}

// receiveBoth takes two messages: nothing orders those of different qualities of
// service.
func (d *scapyDevice) receiveBoth(one, other string) {
	d.t.Helper()
	f := d.hear("PUBLISH")
	d.complete(f)
	switch f["data"] {
	case one:
		d.receive(other)
	case other:
		d.receive(one)
	default:
		d.t.Fatalf("received %v, want %s or %s", f, one, other)
	}
}

// arrive wants this message next.
func (d *scapyDevice) arrive(payload string) fields {
	d.t.Helper()
	f := d.hear("PUBLISH")
	if f["data"] != payload {
		d.t.Fatalf("received %v, want %s", f, payload)
	}
	return f
}

func (d *scapyDevice) complete(f fields) {
	d.t.Helper()
	switch f.number("qos") {
	case 1:
		d.say("PUBACK", fields{"tid": f["tid"], "mid": f["mid"]})
	case 2:
		d.say("PUBREC", fields{"mid": f["mid"]})
		if got := d.hear("PUBREL"); got.number("mid") != f.number("mid") {
			d.t.Fatalf("PUBREL %v after %v", got, f)
		}
		d.say("PUBCOMP", fields{"mid": f["mid"]})
	}
}

// publishAt is publish at any quality of service.
func (p *peer) publishAt(qos byte, topic, payload string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if _, err := p.c.Publish(ctx, &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(payload)}); err != nil {
		p.t.Fatalf("publish %s: %v", topic, err)
	}
}

const snConfig = "auth: {allow_anonymous: true}\n"

func newSNGrounds(t *testing.T) *grounds {
	t.Helper()
	return newGrounds(t, map[string]string{"sn": "mqttsn://127.0.0.1:0"}, snConfig, nil)
}

func TestScapyPublishes(t *testing.T) {
	g := newSNGrounds(t)
	p := g.mqtt(t, "watcher", "#")
	d := newScapyDevice(t, g.open["sn"])
	d.say("SEARCHGW", nil)
	d.hear("GWINFO")
	d.connect("dev", 1)
	d.say("REGISTER", fields{"mid": 1, "topic_name": "room/temperature"})
	f := d.accepted("REGACK")
	if f.number("mid") != 1 {
		t.Fatalf("REGACK %v", f)
	}
	id := f.number("tid")
	d.say("PUBLISH", fields{"qos": 0, "tid": id, "data": "zero"})
	p.receive("room/temperature", "zero")
	d.say("PUBLISH", fields{"qos": 1, "tid": id, "mid": 2, "data": "one"})
	if f := d.accepted("PUBACK"); f.number("mid") != 2 || f.number("tid") != id {
		t.Errorf("PUBACK %v", f)
	}
	p.receive("room/temperature", "one")
	for range 2 { // the second is a repetition
		d.say("PUBLISH", fields{"qos": 2, "tid": id, "mid": 3, "data": "two"})
		if f := d.hear("PUBREC"); f.number("mid") != 3 {
			t.Errorf("PUBREC %v", f)
		}
	}
	d.say("PUBREL", fields{"mid": 3})
	if f := d.hear("PUBCOMP"); f.number("mid") != 3 {
		t.Errorf("PUBCOMP %v", f)
	}
	p.receive("room/temperature", "two")
	p.nothing()
	d.say("DISCONNECT", nil)
	d.hear("DISCONNECT")
}

func TestScapySubscribes(t *testing.T) {
	g := newSNGrounds(t)
	p := g.mqtt(t, "publisher")
	d := newScapyDevice(t, g.open["sn"])
	d.connect("dev", 1)
	id := d.subscribe("lamp/1", 2)
	for qos, payload := range []string{"zero", "one", "two"} {
		p.publishAt(byte(qos), "lamp/1", payload)
		if f := d.arrive(payload); f.number("tid") != id || f.number("qos") != qos {
			t.Errorf("received %v at %d, want %d", f, qos, id)
		} else {
			d.complete(f)
		}
	}
	if got := d.subscribe("all/#", 1); got != 0 {
		t.Errorf("topic identifier %d of a wildcard", got)
	}
	p.publishAt(1, "all/lamps", "on")
	f := d.hear("REGISTER")
	if f["topic_name"] != "all/lamps" {
		t.Fatalf("REGISTER %v", f)
	}
	d.say("REGACK", fields{"tid": f["tid"], "mid": f["mid"]})
	d.receive("on")
}

func TestScapySleeps(t *testing.T) {
	g := newSNGrounds(t)
	p := g.mqtt(t, "publisher")
	d := newScapyDevice(t, g.open["sn"])
	d.connect("dev", 1)
	d.subscribe("lamp/1", 2)
	d.say("DISCONNECT", fields{"duration": 300})
	d.hear("DISCONNECT")
	for range 2 {
		p.publishAt(1, "lamp/1", "one")
		p.publishAt(2, "lamp/1", "two")
		p.publishAt(0, "lamp/1", "zero")
		p.publishAt(1, "lamp/1", "three") // the server has them all when it has acknowledged this
		d.say("PINGREQ", fields{"client_id": "dev"})
		d.receive("one")
		d.receive("two")
		d.receiveBoth("zero", "three")
		d.hear("PINGRESP")
	}
	d.say("PINGREQ", fields{"client_id": "dev"})
	d.hear("PINGRESP")
}

func TestScapyWill(t *testing.T) {
	g := newGrounds(t, map[string]string{"sn": "mqttsn://127.0.0.1:0"}, snConfig, nil)
	p := g.mqtt(t, "watcher", "#")
	d := newScapyDevice(t, g.open["sn"])
	d.say("CONNECT", fields{"cleansess": 1, "will": 1, "duration": 1, "client_id": "dev"})
	d.hear("WILLTOPICREQ")
	d.say("WILLTOPIC", fields{"qos": 1, "will_topic": "dev/state"})
	d.hear("WILLMSGREQ")
	d.say("WILLMSG", fields{"will_msg": "gone"})
	d.accepted("CONNACK")
	p.receive("dev/state", "gone")
	d.hear("DISCONNECT")
}

// TestSleeperOutlivesTheServer kills it in the middle of what a client that has
// woken up is sent: nothing is lost at QoS 1 and 2, and nothing comes twice at 2.
func TestSleeperOutlivesTheServer(t *testing.T) {
	const messages = 12
	g := newSNGrounds(t)
	d := newScapyDevice(t, g.open["sn"])
	d.connect("dev", 0)
	id := d.subscribe("lamp/1", 2)
	d.say("DISCONNECT", fields{"duration": 3600})
	d.hear("DISCONNECT")
	p := g.mqtt(t, "publisher")
	for i := range messages {
		p.publishAt(byte(1+i%2), "lamp/1", fmt.Sprint(i))
	}
	got := map[string]int{}
	open := map[int]bool{} // QoS 2 by MsgId: PUBREC was sent
	stop := 1
	wake := func() { d.say("PINGREQ", fields{"client_id": "dev"}) }
	wake()
	for taken := 0; ; taken++ {
		if taken == stop && stop < 3*messages { // with something on its way
			stop += 5
			_ = g.halt(syscall.SIGKILL)
			g.start()
			d.to(g.open["sn"])
			wake()
		}
		h := d.step(map[string]any{"hear": patience.Seconds()})
		f := h.Fields
		mid := f.number("mid")
		switch h.Type {
		case "PUBLISH":
			if f.number("tid") != id {
				t.Fatalf("PUBLISH %v, want topic %d", f, id)
			}
			if f.number("qos") == 1 {
				got[f["data"].(string)]++
				d.say("PUBACK", fields{"tid": id, "mid": mid})
				continue
			}
			if !open[mid] {
				got[f["data"].(string)]++
			}
			open[mid] = true
			d.say("PUBREC", fields{"mid": mid})
		case "PUBREL":
			delete(open, mid)
			d.say("PUBCOMP", fields{"mid": mid})
		case "PINGRESP":
			for i := range messages {
				n := got[fmt.Sprint(i)]
				if n == 0 || n > 1 && i%2 == 1 {
					t.Errorf("message %d at QoS %d has arrived %d times", i, 1+i%2, n)
				}
			}
			return
		default:
			t.Fatalf("received %s %v", h.Type, f)
		}
	}
}

// TestSleeperSleepsThroughAnUpdate ends the server orderly: who sleeps does not
// notice, and who does not is told.
func TestSleeperSleepsThroughAnUpdate(t *testing.T) {
	g := newSNGrounds(t)
	d, awake := newScapyDevice(t, g.open["sn"]), newScapyDevice(t, g.open["sn"])
	d.say("CONNECT", fields{"will": 1, "duration": 60, "client_id": "dev"})
	d.hear("WILLTOPICREQ")
	d.say("WILLTOPIC", fields{"retain": 1, "will_topic": "dev/state"})
	d.hear("WILLMSGREQ")
	d.say("WILLMSG", fields{"will_msg": "gone"})
	d.accepted("CONNACK")
	d.subscribe("lamp/1", 1)
	d.say("DISCONNECT", fields{"duration": 3600})
	d.hear("DISCONNECT")
	awake.connect("awake", 1)
	g.mqtt(t, "publisher").publishAt(1, "lamp/1", "before")
	if err := g.halt(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awake.hear("DISCONNECT")
	g.start()
	p := g.mqtt(t, "watcher", "#")
	p.nothing() // not the will, which is retained
	p.publishAt(1, "lamp/1", "after")
	p.receive("lamp/1", "after")
	d.to(g.open["sn"])
	d.say("PINGREQ", fields{"client_id": "dev"})
	d.receive("before")
	d.receive("after")
	d.hear("PINGRESP")
}

package mqttsn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dialogue plays a gateway in hexadecimal against a Core.
type dialogue struct {
	t   *testing.T
	c   *Core
	now time.Time
	fx  Effects
}

func talk(t *testing.T, cfg Config) *dialogue {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &dialogue{t: t, c: c, now: time.Unix(1000, 0)}
}

// active is a dialogue whose CONNECT has been answered.
func active(t *testing.T, cfg Config) *dialogue {
	t.Helper()
	cfg.ClientID = "d"
	d := talk(t, cfg)
	d.c.Connect(d.now, true, &d.fx)
	d.says(fmt.Sprintf("07040401%04x64", cfg.KeepAlive)).hears("030500").tells("connected")
	return d
}

// says checks what the client has sent since the last time, one word for each
// datagram; a dot between bytes does not count.
func (d *dialogue) says(words string) *dialogue {
	d.t.Helper()
	got := []string{}
	for b := range d.fx.Datagrams() {
		got = append(got, hex.EncodeToString(b))
	}
	d.fx.buf, d.fx.ends = d.fx.buf[:0], d.fx.ends[:0]
	want := strings.Fields(strings.ReplaceAll(words, ".", ""))
	if diff := cmp.Diff(want, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
		d.t.Errorf("says (-want +got):\n%s", diff)
	}
	return d
}

// hears is a datagram of the gateway.
func (d *dialogue) hears(words ...string) *dialogue {
	d.t.Helper()
	for _, w := range words {
		if err := d.c.Handle(d.now, unhex(d.t, w), &d.fx); err != nil {
			d.t.Errorf("%s: %v", w, err)
		}
	}
	return d
}

// ignores is a datagram from which nothing follows.
func (d *dialogue) ignores(words ...string) *dialogue {
	d.t.Helper()
	for _, w := range words {
		events, datagrams := len(d.fx.Events), d.fx.Len()
		if err := d.c.Handle(d.now, unhex(d.t, w), &d.fx); err == nil || len(d.fx.Events) != events || d.fx.Len() != datagrams {
			d.t.Errorf("%s: error %v, and %v", w, err, d.fx)
		}
	}
	return d
}

// tells checks the events since the last time.
func (d *dialogue) tells(want ...string) *dialogue {
	d.t.Helper()
	got := []string{}
	for _, e := range d.fx.Events {
		got = append(got, inWords(e))
	}
	d.fx.Events = d.fx.Events[:0]
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		d.t.Errorf("tells (-want +got):\n%s", diff)
	}
	return d
}

func inWords(e Event) string {
	s := e.Kind.String()
	switch e.Kind {
	case Refused:
		return fmt.Sprintf("%s %d", s, e.Code)
	case Message:
		s += fmt.Sprintf(" %s=%s qos %d", e.Name, e.Payload, e.QoS)
		if e.Retain {
			s += " retain"
		}
		if e.Dup {
			s += " dup"
		}
	case Published:
		s += fmt.Sprintf(" %d %s", e.Token, [...]string{"", "acknowledged", "written", "denied", "abandoned"}[e.Outcome])
		if e.Code != 0 {
			s += fmt.Sprintf(" %d", e.Code)
		}
		s += fmt.Sprintf(" sends %d", e.Sends)
		if e.Duplicate {
			s += " duplicate"
		}
	case Subscribed:
		s += fmt.Sprintf(" %d code %d qos %d", e.Token, e.Code, e.QoS)
	case Unsubscribed:
		s += fmt.Sprintf(" %d", e.Token)
	case WillChanged:
		s += fmt.Sprintf(" %d code %d", e.Token, e.Code)
	case Rejected:
		s += fmt.Sprintf(" %q code %d", e.Topic, e.Code)
	}
	switch {
	case e.Err == nil:
	case errors.Is(e.Err, ErrUnanswered):
		s += " unanswered"
	case errors.Is(e.Err, ErrEnded):
		s += " ended"
	}
	return s
}

// later lets time pass, in steps that the deadlines ask for.
func (d *dialogue) later(span time.Duration) *dialogue {
	d.t.Helper()
	end := d.now.Add(span)
	for range 1000 {
		at := d.c.Deadline()
		if at.IsZero() || at.After(end) {
			d.now = end
			return d
		}
		if at.After(d.now) {
			d.now = at
		}
		d.c.Tick(d.now, &d.fx)
	}
	d.t.Fatal("the deadline stands still")
	return d
}

func (d *dialogue) publish(token uint64, to Topic, qos int8, payload string) *dialogue {
	d.t.Helper()
	if err := d.c.Publish(d.now, Publication{Token: token, Topic: to, QoS: qos, Payload: []byte(payload)}, &d.fx); err != nil {
		d.t.Error(err)
	}
	return d
}

func (d *dialogue) subscribe(token uint64, to Topic, qos int8) *dialogue {
	d.t.Helper()
	if err := d.c.Subscribe(d.now, to, qos, token, &d.fx); err != nil {
		d.t.Error(err)
	}
	return d
}

func (d *dialogue) is(want State) *dialogue {
	d.t.Helper()
	if got := d.c.State(); got != want {
		d.t.Errorf("state %v, want %v", got, want)
	}
	return d
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, ".", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConnect(t *testing.T) {
	d := talk(t, Config{ClientID: "dev-1", KeepAlive: 60})
	d.c.Connect(d.now, true, &d.fx)
	d.says("0b040401003c6465762d31").is(StateConnecting)
	d.later(10 * time.Second).says("0b040401003c6465762d31").tells()
	d.ignores("0206", "0208", "0217", "0218", "07130000000001.00", "090c0000050000.6869") // no will, no session yet
	d.hears("030500").tells("connected").is(StateActive).ignores("030500").says("")
}

func TestRefusedConnection(t *testing.T) {
	for code := uint8(1); code < 5; code++ {
		d := talk(t, Config{ClientID: "x"})
		d.c.Connect(d.now, false, &d.fx)
		d.says("07040001000078").hears(fmt.Sprintf("0305%02x", code)).tells(fmt.Sprintf("refused %d", code))
		d.is(StateDisconnected).later(time.Hour).says("")
	}
}

func TestNobodyAnswers(t *testing.T) {
	d := talk(t, Config{ClientID: "x", Retry: time.Second, Retries: 3})
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000078").later(3 * time.Second).says("07040001000078 07040001000078 07040001000078").tells()
	d.later(time.Second).says("").tells("lost unanswered").is(StateDisconnected)
	d = talk(t, Config{ClientID: "x", Retry: time.Second, Retries: -1})
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000078").later(time.Second).says("").tells("lost unanswered")
}

func TestBackoff(t *testing.T) {
	d := talk(t, Config{ClientID: "x", Retry: time.Second, Retries: 3, Backoff: 2})
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000078").later(time.Second).says("07040001000078").later(2 * time.Second).says("07040001000078")
	d.later(3 * time.Second).says("").later(time.Second).says("07040001000078")
	d.later(7 * time.Second).tells().later(time.Second).tells("lost unanswered")
}

func TestJitterIsOfTheSeed(t *testing.T) {
	deadlines := func(seed uint64) (all []time.Duration) {
		c, err := New(Config{ClientID: "x", Retry: 10 * time.Second, Jitter: 0.1, Rand: rand.New(rand.NewPCG(seed, 0))})
		if err != nil {
			t.Fatal(err)
		}
		var fx Effects
		now := time.Unix(0, 0)
		c.Connect(now, true, &fx)
		for at := c.Deadline(); !at.IsZero(); at = c.Deadline() {
			wait := at.Sub(now)
			if wait < 9*time.Second || wait > 11*time.Second {
				t.Errorf("a wait of %v", wait)
			}
			all = append(all, wait)
			now = at
			c.Tick(now, &fx)
		}
		return all
	}
	if diff := cmp.Diff(deadlines(1), deadlines(1)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(deadlines(1), deadlines(2)) {
		t.Error("two seeds, one chance")
	}
}

func TestWillHandshake(t *testing.T) {
	d := talk(t, Config{ClientID: "sensor01", KeepAlive: 300, Will: &Will{Topic: "will/t", Payload: []byte("gone"), QoS: 1, Retain: true}})
	d.c.Connect(d.now, true, &d.fx)
	d.says("0e040c01012c73656e736f723031")
	d.hears("0206").says("09073077696c6c2f74").hears("0206").says("09073077696c6c2f74") // the prompt once more
	d.hears("0208").says("0609676f6e65").hears("030500").tells("connected").ignores("0206", "0208")
}

func TestEmptyWillDeletesAnEarlierOne(t *testing.T) {
	d := talk(t, Config{ClientID: "x", Will: &Will{}})
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040801000078").hears("0206").says("0207").hears("030500").tells("connected")
}

func TestLostPromptIsAskedForByConnect(t *testing.T) {
	d := talk(t, Config{ClientID: "x", Will: &Will{Topic: "w"}})
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040801000078").hears("0206").says("04070077")
	d.later(10*time.Second).says("07040801000078").hears("0206", "0208").says("04070077 0209")
	d.later(9 * time.Second).says("").hears("030500").tells("connected")
}

func TestWillUpdates(t *testing.T) {
	d := active(t, Config{})
	if err := d.c.SetWillTopic(d.now, Will{Topic: "will/new", QoS: 1}, 7, &d.fx); err != nil {
		t.Fatal(err)
	}
	if err := d.c.SetWillTopic(d.now, Will{Topic: "x"}, 8, &d.fx); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if err := d.c.SetWillPayload(d.now, []byte("bye2"), 9, &d.fx); err != nil {
		t.Fatal(err)
	}
	d.says("0b1a2077696c6c2f6e6577 061c62796532")
	d.later(10 * time.Second).says("0b1a2077696c6c2f6e6577 061c62796532")
	d.hears("031d00", "031b00").tells("will changed 9 code 0", "will changed 7 code 0").ignores("031b00", "031d00")
	if err := d.c.SetWillTopic(d.now, Will{}, 10, &d.fx); err != nil {
		t.Fatal(err)
	}
	d.says("021a").hears("031b03").tells("will changed 10 code 3")
	// The next connection speaks of the will as it is now.
	d.c.Connect(d.now, true, &d.fx)
	d.says("07040c01000064").hears("0206").says("0b072077696c6c2f6e6577").hears("0208").says("0209")
}

func TestKeepAlive(t *testing.T) {
	d := active(t, Config{KeepAlive: 60})
	d.later(49 * time.Second).says("").later(time.Second).says("0216").hears("0217").ignores("0217")
	d.later(50 * time.Second).says("0216").later(10 * time.Second).says("0216").hears("0217")
	d.later(20*time.Second).publish(1, Short("TT"), 0, "x").says("080c0254540000.78").tells("published 1 written sends 1")
	d.later(49 * time.Second).says("").later(time.Second).says("0216")
	d.later(40 * time.Second).says("0216 0216 0216 0216").later(10 * time.Second).tells("lost unanswered").is(StateDisconnected)
}

func TestPingOfTheGateway(t *testing.T) {
	d := active(t, Config{})
	d.hears("0216").says("0217")
	d.c.Drop()
	d.ignores("0216").says("")
}

func TestDisconnect(t *testing.T) {
	d := active(t, Config{})
	d.c.Disconnect(d.now, &d.fx)
	d.says("0218").later(10 * time.Second).says("0218").hears("0218").tells("disconnected").is(StateDisconnected)
	d.c.Disconnect(d.now, &d.fx)
	d.says("").tells("disconnected")
	d = active(t, Config{Retries: 1})
	d.c.Disconnect(d.now, &d.fx)
	d.later(time.Minute).says("0218 0218").tells("disconnected unanswered")
}

func TestGatewayEndsTheConnection(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Short("TT"), 1, "a").says("080c2254540001.61").hears("0218").tells("lost ended").is(StateDisconnected)
	d.later(time.Hour).says("").tells()
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000064").hears("030500").tells("connected").says("080ca254540001.61")
	d.hears("070d5454000100").tells("published 1 acknowledged sends 2")
}

func TestForwarder(t *testing.T) {
	d := talk(t, Config{ClientID: "s1", KeepAlive: 10, Forwarded: true, NodeID: []byte{0xaa, 0xbb}})
	d.c.Connect(d.now, true, &d.fx)
	d.says("05fe00aabb08040401000a7331")
	d.ignores("030500", "05fe00aabc030500", "05fe00aabb05fe00aabb030500", "03fe00030500")
	d.hears("05fe00aabb030500").tells("connected").publish(1, Predefined(17), 1, "x").says("05fe00aabb.080c210011000178")
	d = talk(t, Config{ClientID: "s1", Forwarded: true})
	d.c.Connect(d.now, true, &d.fx)
	d.says("03fe00.0804040100007331").hears("03fe00030500").tells("connected")
	d = active(t, Config{})
	d.ignores("05fe00aabb0216")
}

func TestConfigThatNoWireHolds(t *testing.T) {
	for name, c := range map[string]Config{
		"identifier":         {ClientID: "\xff"},
		"large identifier":   {ClientID: strings.Repeat("x", 70000)},
		"node":               {NodeID: make([]byte, 253)},
		"jitter":             {Jitter: 1},
		"will with wildcard": {Will: &Will{Topic: "a/#"}},
		"will with QoS -1":   {Will: &Will{Topic: "a", QoS: -1}},
		"large will":         {Will: &Will{Topic: "a", Payload: make([]byte, 70000)}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestStateErrors(t *testing.T) {
	d := talk(t, Config{})
	if err := d.c.Sleep(d.now, time.Second, &d.fx); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	if err := d.c.Wake(d.now, &d.fx); !errors.Is(err, ErrState) {
		t.Error(err)
	}
	for _, p := range []Publication{
		{Topic: Named("a/+")},
		{Topic: Named("")},
		{Topic: Named("a\x00")},
		{Topic: Named("a"), QoS: -1},
		{Topic: Named("a"), QoS: 3},
		{Topic: Short("abc")},
		{Topic: Predefined(0)},
		{Topic: Predefined(0xffff)},
		{Topic: Topic{Kind: 3}},
		{Topic: Named("a"), Payload: make([]byte, 65500)},
	} {
		if err := d.c.Publish(d.now, p, &d.fx); err == nil {
			t.Errorf("published %+v", p.Topic)
		}
	}
	if err := d.c.Subscribe(d.now, Short("#a"), 0, 1, &d.fx); !errors.Is(err, ErrTopic) {
		t.Error(err)
	}
	if err := d.c.Subscribe(d.now, Named("#"), -1, 1, &d.fx); !errors.Is(err, ErrQoS) {
		t.Error(err)
	}
	d.says("").tells()
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Frame is devices of a private protocol that a codec describes.
func Frame() Spec {
	return Spec{
		Name: "frame", Device: "frame", Codec: "gt06",
		Summary: "devices of a codec send frames; an operation ends when an MQTT subscriber has the message",
		Defaults: func(p *Plan) {
			Default(&p.Clients, 100)
			p.defaultRate(1000)
		},
		New: func() Scenario { return frames{} },
	}
}

type frames struct{}

// Open implements Scenario.
func (frames) Open(ctx context.Context, s *Session) (Load, error) {
	if s.devices == nil {
		return nil, errNoDevices
	}
	fleet, err := newFleet(s.o.Codec)
	if err != nil {
		return nil, err
	}
	n := s.plan.Clients
	byTopic := make(map[string]*frameDevice, n)
	all, err := s.connectAll(ctx, n+1, func(i int, o *ClientOptions) {
		if i == n { // numbered behind the devices
			o.Unstamped = true
			o.OnArrive = func(topic, _ []byte, _, _ int64) {
				if d := byTopic[string(topic)]; d != nil {
					d.hear()
				}
			}
			return
		}
		o.Dialect = func(*mqtt.Connect) (client.Dialect, error) {
			return fleet.dialect(uint64(s.plan.StartNumber + i + 1))
		}
	})
	if err != nil {
		return nil, err
	}
	subscriber := all[n]
	if subscriber == nil {
		return nil, s.nobody()
	}
	var devices []*frameDevice
	for i, c := range all[:n] {
		if c == nil {
			continue
		}
		d, err := fleet.device(c, uint64(s.plan.StartNumber+i+1))
		if err != nil {
			return nil, err
		}
		for _, f := range d.frames {
			if byTopic[f.topic] != nil && byTopic[f.topic] != d {
				return nil, fmt.Errorf("two devices publish to %q: the codec has no names for so many", f.topic)
			}
			byTopic[f.topic] = d
		}
		devices = append(devices, d)
	}
	if len(devices) == 0 {
		return nil, s.nobody()
	}
	for _, filter := range fleet.filters() {
		if err := subscriber.Subscribe(ctx, 0, s.subscription(filter)); err != nil {
			return nil, err
		}
	}
	return operations{s: s, workers: len(devices), do: func(ctx context.Context, w int, _, _ int64) error {
		ctx, cancel := context.WithTimeout(ctx, s.plan.ConnectTimeout)
		defer cancel()
		return devices[w].send(ctx)
	}}, nil
}

// fleet is what the devices of a run have in common.
type fleet struct {
	codec   *frame.Codec
	login   *frame.Sample // nil: none is needed
	replied bool          // to the login
	traffic []frame.Sample
}

func newFleet(c *frame.Codec) (*fleet, error) {
	if c == nil {
		return nil, errors.New("no codec says what the devices speak")
	}
	f := &fleet{codec: c}
	if c.Uplink().Topic == "" {
		return nil, fmt.Errorf("codec %s publishes nothing", c.Name())
	}
	samples, session := c.Samples(), c.Session()
	for i := range samples {
		s := &samples[i]
		switch {
		case s.Login && f.login == nil && !s.Later:
			f.login = s
		case !s.Login && !slices.Contains(session.Before, s.Message):
			f.traffic = append(f.traffic, *s)
		}
	}
	if f.login == nil && len(session.Require) > 0 {
		return nil, fmt.Errorf("no vector of codec %s is a login: one of %s", c.Name(), strings.Join(session.Require, ", "))
	}
	if f.login == nil {
		f.login = f.naming()
	}
	if len(f.traffic) == 0 {
		return nil, fmt.Errorf("codec %s has no vector of what a device sends after its login", c.Name())
	}
	return f, f.tryLogin()
}

// filters are those of the traffic alone: a login that is not answered may be on
// its way still.
func (f *fleet) filters() []string {
	var all []string
	for i := range f.traffic {
		levels := strings.Split(strings.ReplaceAll(f.codec.Uplink().Topic, "${message}", f.traffic[i].Message), "/")
		for j, l := range levels {
			if strings.Contains(l, "${") {
				levels[j] = "+"
			}
		}
		if filter := strings.Join(levels, "/"); !slices.Contains(all, filter) {
			all = append(all, filter)
		}
	}
	return all
}

// naming is the first frame where there is no login: it says which device it is.
func (f *fleet) naming() *frame.Sample {
	for i := range f.traffic {
		if s := &f.traffic[i]; s.Identifies && !s.Later {
			return s
		}
	}
	return nil
}

// tryLogin finds out whether a login is answered.
func (f *fleet) tryLogin() error {
	if f.login == nil {
		return nil
	}
	r, err := f.decode(f.login, 1)
	if err != nil {
		return err
	}
	_, f.replied, err = f.codec.Reply(nil, r, frame.Env{DeviceID: string(r.DeviceID())})
	return err
}

// decode reads a sample as device number sends it.
func (f *fleet) decode(s *frame.Sample, number uint64) (*frame.Record, error) {
	b, err := s.Append(nil, number)
	if err != nil {
		return nil, err
	}
	split := f.codec.Splitter(frame.Up)
	if s.Later && f.login != nil {
		first, err := f.login.Append(nil, number)
		if err == nil {
			_, _, err = split.Next(first)
		}
		if err != nil {
			return nil, err
		}
	}
	fr, _, err := split.Next(b)
	if errors.Is(err, frame.ErrShort) {
		fr, _, err = split.Gap(b) // it ends by silence
	}
	if err != nil {
		return nil, err
	}
	r := new(frame.Record)
	return r, f.codec.Decode(fr, frame.Up, r)
}

// frameDevice is one device. It has one frame at a time on its way.
type frameDevice struct {
	c      *Client
	frames []readyFrame
	turn   int
	heard  chan struct{}
}

// readyFrame is a frame and where its message will be.
type readyFrame struct {
	bytes []byte
	topic string
}

// device makes what a device sends, once.
func (f *fleet) device(c *Client, number uint64) (*frameDevice, error) {
	d := &frameDevice{c: c, heard: make(chan struct{}, 1)}
	id := strings.NewReplacer("[", "", "]", "").Replace(c.conn.LocalAddr().String())
	if at := strings.LastIndexByte(id, ':'); at >= 0 { // as the gateway calls it by itself
		id = id[:at] + "_" + id[at+1:]
	}
	if f.login != nil && f.login.Identifies {
		r, err := f.decode(f.login, number)
		if err != nil {
			return nil, err
		}
		id = string(r.DeviceID())
	}
	for i := range f.traffic {
		s := &f.traffic[i]
		r, err := f.decode(s, number)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Message, err)
		}
		topic, err := f.codec.AppendTopic(nil, r, id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Message, err)
		}
		if s.Identifies && string(r.DeviceID()) != id {
			continue // of another device, whatever its number is
		}
		d.frames = append(d.frames, readyFrame{r.Frame().Raw, string(topic)})
	}
	if len(d.frames) == 0 {
		return nil, fmt.Errorf("no vector of codec %s is of the device that logs in", f.codec.Name())
	}
	return d, nil
}

// hear notes that the message has arrived.
func (d *frameDevice) hear() {
	select {
	case d.heard <- struct{}{}:
	default: // one that nobody waits for any more
	}
}

// send sends the next frame and waits for its message.
func (d *frameDevice) send(ctx context.Context) error {
	select {
	case <-d.heard: // too late, of an operation that has failed
	default:
	}
	f := &d.frames[d.turn%len(d.frames)]
	d.turn++
	if err := d.c.say(func(dst []byte) []byte { return append(dst, f.bytes...) }); err != nil {
		return err
	}
	d.c.sh.count(func(n *Counters) { n.Sent++ })
	select {
	case <-d.heard:
		return nil
	case <-d.c.done:
		return fmt.Errorf("send a frame: %w", d.c.err)
	case <-ctx.Done():
		return fmt.Errorf("the message of a frame: %w", ErrNoAnswer)
	}
}

// dialect is how a device logs in.
func (f *fleet) dialect(number uint64) (client.Dialect, error) {
	d := frameDialect{}
	if f.login == nil {
		return d, nil
	}
	var err error
	d.login, err = f.login.Append(nil, number)
	if f.replied {
		d.answers = 1
	}
	return d, err
}

// frameDialect knows a login and otherwise listens to nobody.
type frameDialect struct {
	login   []byte
	answers int
}

// Login implements client.Dialect.
func (d frameDialect) Login(dst []byte) ([]byte, int, error) {
	return append(dst, d.login...), d.answers, nil
}

// Publish implements client.Dialect.
func (frameDialect) Publish(dst []byte, m client.Message) ([]byte, bool, error) {
	return append(dst, m.Payload...), false, nil
}

// Subscribe implements client.Dialect.
func (frameDialect) Subscribe(dst []byte, _ string) ([]byte, error) { return dst, nil }

// Unsubscribe implements client.Dialect.
func (frameDialect) Unsubscribe(dst []byte, _ string) ([]byte, error) { return dst, nil }

// Alive implements client.Dialect: the frames do that.
func (frameDialect) Alive(dst []byte) []byte { return dst }

// Leave implements client.Dialect.
func (frameDialect) Leave(dst []byte) []byte { return dst }

// Next implements client.Dialect: whatever comes first is the answer to the
// login.
func (frameDialect) Next(b []byte) (client.Event, int, error) {
	return client.Event{Kind: client.EventAnswer}, len(b), nil
}

// Describe implements client.Dialect.
func (frameDialect) Describe(b []byte, _ client.Direction) string { return fmt.Sprintf("% x", b) }

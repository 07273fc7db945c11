package frame

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/transport"
)

// device is a device's connection.
type device struct {
	gateway.Conn
	g       *Gateway
	set     *settings
	codec   *frame.Codec
	session frame.Session
	in      frame.Splitter
	packets bool   // each read is a datagram
	id      string // "" before the login
	held    []byte // of a frame that only silence ends
	dropped int    // frames that the splitter has left out, of which we know
	framed  bool   // there was a frame
	noise   *noise // nil: nothing but frames

	opened time.Time
	heard  time.Time // when the last frame was there
	alive  time.Time // when the last one was that session.keepalive wants

	sent atomic.Uint32 // frames
	told atomic.Int64  // when the log was last told of a downlink, Unix seconds
}

// Opened implements gateway.Opener.
func (d *device) Opened(ctx context.Context) error {
	name, template := target(pathOf(d.Listener()))
	d.codec = d.set.codec(name)
	d.opened = time.Now()
	if d.codec == nil { // its file has gone since
		return &gateway.End{Why: "codec", Err: fmt.Errorf("no codec %q any more", name), Mute: true}
	}
	d.session, d.in, d.packets = d.codec.Session(), d.codec.Splitter(frame.Up), d.Info().Datagrams
	if template == "" {
		template = d.set.DeviceID
	}
	if d.codec.Identifies() {
		return nil
	}
	// Such a device may have to be asked before it says anything.
	id, err := nameOf(template, d.Info(), d.Info().Listener)
	if err != nil {
		return refused(nil, "client-id", err)
	}
	return d.login(ctx, id, nil)
}

// pathOf is the path of a listener's URL.
func pathOf(l transport.Listener) string {
	u, err := url.Parse(l.URL())
	if err != nil { // it was made from one
		return ""
	}
	return u.Path
}

// Data implements gateway.Client.
func (d *device) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	w := d.g.work.Get().(*work)
	defer d.g.giveBack(w)
	if len(d.held) > 0 {
		d.held = append(d.held, data...)
		data = d.held
	}
	data, err = d.frames(ctx, data, w, d.in.Next)
	switch {
	case err != nil:
		return nil, 0, err
	case d.packets:
		_, err = d.frames(ctx, data, w, d.in.Gap)
		return nil, 0, err
	case d.codec.IdleGap() > 0:
		d.held = append(d.held[:0], data...)
		return nil, 0, nil
	}
	if !d.framed { // so that all that comes is seen
		return data, 0, nil
	}
	return data, len(data) + d.in.Need(), nil
}

// frames works off what next finds in data and returns the rest.
func (d *device) frames(ctx context.Context, data []byte, w *work, next func([]byte) (frame.Frame, int, error)) ([]byte, error) {
	for {
		before := d.in.Skipped()
		f, n, err := next(data)
		d.wrongSums(data)
		skipped := data[:min(d.in.Skipped()-before, n)]
		data = data[n:]
		switch {
		case errors.Is(err, frame.ErrShort):
			if !d.framed {
				d.heardNoise(skipped, data)
			}
			return data, nil
		case err != nil:
			d.heardNoise(skipped, data)
			return nil, &gateway.End{Why: "protocol", Err: err, Mute: true}
		}
		d.framed, d.noise = true, nil
		if err := d.frame(ctx, f, w); err != nil {
			return nil, err
		}
	}
}

// frame works off one frame.
func (d *device) frame(ctx context.Context, f frame.Frame, w *work) error {
	d.Charge(1)
	r := &w.Record
	if err := d.codec.Decode(f, frame.Up, r); err != nil {
		d.g.counts.undecoded.Add(1)
		d.Refused("frame", "", err)
		d.dump(func() []byte { return f.Raw })
		return nil
	}
	d.heard = d.LastRead()
	if slices.Contains(d.session.Keepalive.Messages, r.Message) {
		d.alive = d.heard
	}
	if id := r.DeviceID(); id != nil && d.id != "" && string(id) != d.id {
		return &gateway.End{Why: "identity", Err: fmt.Errorf("the device logged in as %q and now calls itself %.64q", d.id, id), Mute: true}
	}
	if d.id == "" {
		return d.stranger(ctx, w)
	}
	return d.uplink(w)
}

// stranger works off a frame of a device that has not logged in.
func (d *device) stranger(ctx context.Context, w *work) error {
	switch need := d.session.Require; {
	case slices.Contains(d.session.Before, w.Message):
		return d.answer(w)
	case len(need) > 0 && !slices.Contains(need, w.Message):
		d.Refused("frame", w.Message, fmt.Errorf("the device has to send %q first", need))
		return nil
	}
	id := w.DeviceID()
	if id == nil {
		d.Refused("frame", w.Message, errors.New("it does not name the device"))
		return nil
	}
	if err := d.login(ctx, string(id), &w.Record); err != nil {
		return err
	}
	return d.uplink(w)
}

// uplink publishes a frame and answers it.
func (d *device) uplink(w *work) error {
	switch err := d.publish(w); {
	case err == nil:
	case errors.Is(err, broker.ErrTakenOver), errors.Is(err, broker.ErrEnded):
		return &gateway.End{Why: "taken-over", Err: err, Mute: true}
	case errors.Is(err, broker.ErrNotAuthorized):
		d.g.counts.denied.Add(1)
		d.Refused("publish", string(w.topic), err)
	default:
		d.Refused("publish", string(w.topic), err)
		return nil // without an answer the device keeps what it has said
	}
	return d.answer(w)
}

// publish sends a record on its way.
func (d *device) publish(w *work) error {
	up := d.codec.Uplink()
	if up.Topic == "" {
		return nil
	}
	var err error
	if w.topic, err = d.codec.AppendTopic(w.topic[:0], &w.Record, d.id); err == nil {
		err = router.ValidateName(w.topic) // too long, or too deep
	}
	if err != nil {
		d.g.counts.topics.Add(1)
		d.Refused("publish", up.Topic, err)
		return nil
	}
	w.payload = d.codec.AppendPayload(w.payload[:0], &w.Record)
	_, err = d.Link().Publish(message.View{Topic: w.topic, Payload: w.payload, QoS: up.QoS, Retain: up.Retain})
	return err
}

// answer sends what the definition answers, after what the batch has brought is
// safe.
func (d *device) answer(w *work) error {
	for {
		seq := d.sent.Load()
		b, some, err := d.codec.Reply(w.payload[:0], &w.Record, d.env(seq))
		if err != nil {
			d.Refused("answer", w.Message, err)
			return nil
		}
		if !some {
			return nil
		}
		w.payload = b
		if d.sent.CompareAndSwap(seq, seq+1) { // otherwise a downlink has got the number
			d.Answer(b)
			return nil
		}
	}
}

// env is what templates may use.
func (d *device) env(seq uint32) frame.Env {
	return frame.Env{Now: time.Now(), Seq: seq, DeviceID: d.id}
}

// Deliver implements broker.Receiver.
func (d *device) Deliver(m *message.Delivery) bool {
	var bad error
	ok := d.Append(func(dst []byte) []byte {
		for {
			seq := d.sent.Load()
			b, err := d.codec.Encode(dst, m.Message.Payload, d.env(seq))
			if err != nil {
				bad = err
				return dst
			}
			if d.sent.CompareAndSwap(seq, seq+1) { // otherwise an answer has got the number
				return b
			}
		}
	})
	if bad != nil {
		d.badDownlink(m.Message.Topic, bad)
	}
	return ok
}

// badDownlink logs once in a while that no frame could be made of a message.
func (d *device) badDownlink(topic string, err error) {
	d.g.counts.down.Add(1)
	now := time.Now().Unix()
	if last := d.told.Load(); now-last < 60 || !d.told.CompareAndSwap(last, now) {
		return
	}
	d.Log().Warn("downlink dropped, no frame can be made of it", "topic", gateway.Clip(topic), "err", err)
}

// LastWords implements gateway.Client: a goodbye is not in the language.
func (*device) LastWords(*gateway.End) []byte { return nil }

// Deadline implements gateway.Watch.
func (d *device) Deadline(lastRead time.Time) time.Time {
	at := d.opened.Add(d.set.ConnectTimeout)
	if d.Link() != nil {
		at = d.heard.Add(d.idle())
		if k := d.session.Keepalive.Timeout; k > 0 && d.alive.Add(k).Before(at) {
			at = d.alive.Add(k)
		}
	}
	if len(d.held) > 0 {
		if gap := lastRead.Add(d.codec.IdleGap()); gap.Before(at) {
			at = gap
		}
	}
	return at
}

func (d *device) idle() time.Duration {
	if d.session.IdleTimeout > 0 {
		return d.session.IdleTimeout
	}
	return d.set.IdleTimeout
}

// Expired implements gateway.Watch.
func (d *device) Expired(ctx context.Context) error {
	now := time.Now()
	switch {
	case d.Link() == nil && now.Before(d.opened.Add(d.set.ConnectTimeout)):
	case d.Link() == nil:
		return &gateway.End{Why: "connect-timeout", Err: errors.New("the device has not logged in in time"), Mute: true}
	case !now.Before(d.heard.Add(d.idle())):
		return &gateway.End{Why: "keepalive", Err: gateway.ErrKeepAlive, Mute: true}
	case d.session.Keepalive.Timeout > 0 && !now.Before(d.alive.Add(d.session.Keepalive.Timeout)):
		return &gateway.End{Why: "keepalive", Err: fmt.Errorf("no %q within %v", d.session.Keepalive.Messages, d.session.Keepalive.Timeout), Mute: true}
	}
	w := d.g.work.Get().(*work)
	defer d.g.giveBack(w)
	rest, err := d.frames(ctx, d.held, w, d.in.Gap)
	d.held = append(d.held[:0], rest...)
	return err
}

package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// stepTime is how long one attempt of a search may take: a server that drops
// what is too long says nothing.
const stepTime = 2 * time.Second

// search is the greatest number that something accepts.
type search struct {
	most  int  // accepted
	above int  // the least that was not; 0: nothing was refused
	done  bool // there is nothing between the two
	tries int
}

// find tries low, then high, then halves what is between. It ends early, and
// with what it has, when ctx ends.
func find(ctx context.Context, low, high int, try func(int) (bool, error)) (s search, err error) {
	attempt := func(n int) (bool, error) {
		s.tries++
		ok, err := try(n)
		switch {
		case err != nil:
			return false, err
		case ok:
			s.most = max(s.most, n)
		case s.above == 0 || n < s.above:
			s.above = n
		}
		return ok, nil
	}
	for _, n := range []int{low, high} {
		ok, err := attempt(n)
		if err != nil || n == low && !ok {
			return s, err
		}
	}
	for s.above > s.most+1 && ctx.Err() == nil {
		if _, err := attempt(s.most + (s.above-s.most)/2); err != nil {
			if ctx.Err() != nil {
				break
			}
			return s, err
		}
	}
	s.done = s.above == 0 || s.above == s.most+1
	return s, nil
}

// words says what the search has found; what names the option of the bound.
func (s *search) words(unit, option string) string {
	switch {
	case s.above == 0:
		return fmt.Sprintf("%d %s, the bound (%s)", s.most, unit, option)
	case !s.done:
		return fmt.Sprintf("between %d and %d %s; there was no time for more", s.most, s.above-1, unit)
	}
	return fmt.Sprintf("%d %s", s.most, unit)
}

// echo sends messages to itself over connections that may break.
type echo struct {
	x      *exam
	filter string
	marker string // a short topic that filter matches
	m      *member
	sent   int
	why    error // of the last failure
}

func (e *echo) leave() {
	if e.m != nil {
		e.m.leave()
	}
	e.m = nil
}

// try tells whether a message comes back. An error means that nothing more can
// be tried.
func (e *echo) try(ctx context.Context, msg client.Message) (bool, error) {
	if e.m == nil {
		m, err := e.x.join(ctx, e.x.version, nil)
		if err != nil {
			return false, err
		}
		if err := m.subscribe(ctx, e.x.version, e.filter, msg.QoS); err != nil {
			m.leave()
			return false, err
		}
		e.m = m
	}
	step, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	came, err := e.roundTrip(step, msg)
	if err == nil {
		return came, nil
	}
	if e.why = err; ctx.Err() != nil {
		return false, ctx.Err()
	}
	if !errors.As(err, new(*client.LimitError)) {
		// Whatever is still on its way goes with the connection.
		_ = e.m.Close()
		<-e.m.Done()
		e.m = nil
	}
	return false, nil
}

// roundTrip sends a message, and behind it a short one: when that comes back
// alone, the first was dropped, as some servers do that acknowledge it.
func (e *echo) roundTrip(ctx context.Context, msg client.Message) (came bool, err error) {
	if err := e.m.send(ctx, msg); err != nil {
		return false, err
	}
	e.sent++
	end := "end " + strconv.Itoa(e.sent)
	marker := client.Message{Topic: e.x.topic(e.marker), QoS: msg.QoS, Payload: []byte(end)}
	if err := e.m.send(ctx, marker); err != nil {
		return false, err
	}
	for {
		in, err := e.m.any(ctx)
		switch {
		case err != nil:
			return false, err
		case in.Topic == msg.Topic && len(in.Payload) == len(msg.Payload):
			came = true
		case in.Topic == marker.Topic && string(in.Payload) == end:
			return came, nil
		}
	}
}

func checkPacket(ctx context.Context, x *exam) Result {
	topic, qos := x.topic("packet"), x.qos(1)
	e := &echo{x: x, filter: topic, marker: "packet"}
	defer e.leave()
	high := x.MaxPacketBytes
	stated, _ := x.connack.Properties.Uint32(mqtt.PropMaximumPacketSize)
	if stated > 0 {
		high = min(high, int(stated))
	}
	low := packetOf(topic, qos, x.version, 1)
	if high < low {
		return failed(Protocol, "the server states at most %d bytes, and the shortest message here has %d", stated, low).hint("a shorter --prefix may help")
	}
	s, err := find(ctx, low, high, func(n int) (bool, error) {
		return e.try(ctx, client.Message{Topic: topic, QoS: qos, Payload: bytes.Repeat([]byte("p"), payloadFor(topic, qos, x.version, n))})
	})
	switch {
	case err != nil && s.most == 0:
		return x.blame(ctx, err)
	case s.most == 0 && errors.As(e.why, new(*refusedError)):
		return x.blame(ctx, e.why)
	case s.most == 0:
		return failed(Timeout, "not even %d bytes come back", low).hint("rules may forbid %s/#: --prefix TOPIC", x.prefix)
	}
	r := fine("%s", s.words("bytes", "--max-packet"))
	switch {
	case stated > 0 && s.most == int(stated) && s.above == 0:
		r.Summary = fmt.Sprintf("%d bytes, as the server states", s.most)
	case stated > 0 && s.above > 0 && s.done:
		r = warn("%d bytes, but the server states %d", s.most, stated)
	}
	return r.with("bytes", s.most).with("bound_bytes", x.MaxPacketBytes).with("bound_reached", s.above == 0 && s.most == x.MaxPacketBytes).
		with("exact", s.done && s.above > 0).with("stated_bytes", int(stated)).with("tries", s.tries)
}

// packetOf is the length of a PUBLISH with so many bytes of payload.
func packetOf(topic string, qos uint8, v mqtt.Version, payload int) int {
	return mqtt.Publish{Topic: []byte(topic), QoS: qos, PacketID: 1, Payload: make([]byte, payload)}.Size(v)
}

// payloadFor is the longest payload of a packet of at most n bytes.
func payloadFor(topic string, qos uint8, v mqtt.Version, n int) int {
	payload := max(n-packetOf(topic, qos, v, 0), 0) // not enough for the length of the length
	for payload > 0 && packetOf(topic, qos, v, payload) > n {
		payload--
	}
	return payload
}

// longestTopic is what the length of a string can say.
const longestTopic = 65535

func checkTopic(ctx context.Context, x *exam) Result {
	base, qos := x.topic("long/"), x.qos(1)
	filter := x.topic("long/+")
	if !x.available(mqtt.PropWildcardSubscriptionAvailable) {
		return skipped("it takes a wildcard, and the server states that it has none")
	}
	e := &echo{x: x, filter: filter, marker: "long/m"}
	defer e.leave()
	s, err := find(ctx, len(base)+1, longestTopic, func(n int) (bool, error) {
		return e.try(ctx, client.Message{Topic: base + strings.Repeat("t", n-len(base)), QoS: qos, Payload: []byte("x")})
	})
	switch {
	case err != nil && s.most == 0:
		return x.blame(ctx, err)
	case s.most == 0 && errors.As(e.why, new(*refusedError)):
		return x.blame(ctx, e.why)
	case s.most == 0:
		return failed(Timeout, "not even %d bytes come back", len(base)+1).hint("rules may forbid %s/#: --prefix TOPIC", x.prefix)
	}
	r := fine("%s", s.words("bytes", "the longest there is"))
	if s.above == 0 {
		r.Summary = fmt.Sprintf("%d bytes, the longest there is", s.most)
	}
	return r.with("bytes", s.most).with("exact", s.done).with("tries", s.tries)
}

func checkID(ctx context.Context, x *exam) Result {
	base := "iotctl" + x.token
	var last error
	s, err := find(ctx, len(base), x.MaxIDBytes, func(n int) (bool, error) {
		m, err := x.join(ctx, x.version, func(o *client.Options) { o.ClientID = base + strings.Repeat("i", n-len(base)) })
		if err != nil {
			last = err
			if ctx.Err() != nil || errors.Is(err, client.ErrTimeout) {
				return false, err
			}
			return false, nil
		}
		m.leave()
		return true, nil
	})
	switch {
	case err != nil && s.most == 0:
		return x.blame(ctx, err)
	case s.most == 0 && x.ClientID != "":
		return warn("only certain identifiers are taken").with("bytes", 0)
	case s.most == 0:
		return x.blame(ctx, last)
	}
	r := fine("%s", s.words("bytes", "--max-id"))
	if s.done && s.most < 23 {
		r = warn("%d bytes, and 23 are what MQTT 3.1.1 asks of servers", s.most)
	}
	empty, assigned := x.emptyID(ctx)
	r.Summary += map[bool]string{true: "; an empty one is taken", false: "; an empty one is not taken"}[empty]
	return r.with("bytes", s.most).with("bound_bytes", x.MaxIDBytes).with("bound_reached", s.above == 0).
		with("exact", s.done && s.above > 0).with("empty", empty).with("assigned_id", assigned).with("tries", s.tries)
}

// emptyID tells whether the server takes a client without an identifier, and
// what it calls it.
func (x *exam) emptyID(ctx context.Context) (taken bool, assigned string) {
	if x.version == mqtt.V31 {
		return false, ""
	}
	m, err := x.join(ctx, x.version, func(o *client.Options) { o.ClientID = "" })
	if err != nil {
		return false, ""
	}
	m.leave()
	name, _ := m.ack.Properties.String(mqtt.PropAssignedClientIdentifier)
	return true, tame(name)
}

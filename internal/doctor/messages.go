package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// checkQoS sends messages to itself, one after the other.
func checkQoS(qos uint8) func(context.Context, *exam) Result {
	return func(ctx context.Context, x *exam) Result {
		if most := x.qos(2); qos > most {
			return skipped("the server states that it accepts at most QoS %d", most)
		}
		m, err := x.join(ctx, x.version, nil)
		if err != nil {
			return x.blame(ctx, err)
		}
		defer m.leave()
		topic := x.topic(fmt.Sprintf("qos%d", qos))
		if err := m.subscribe(ctx, x.version, topic, qos); err != nil {
			return x.blame(ctx, err)
		}
		var times []time.Duration
		lower, twice := 0, 0
		for i := range x.Tries {
			body := []byte(strconv.Itoa(i))
			began := time.Now()
			if err := m.send(ctx, client.Message{Topic: topic, QoS: qos, Payload: body}); err != nil {
				return x.blame(ctx, err)
			}
			for {
				in, err := m.next(ctx, topic)
				if err != nil {
					return x.lostMessage(ctx, err, i)
				}
				if in.QoS < qos {
					lower++
				}
				if bytes.Equal(in.Payload, body) {
					break
				}
				twice++
			}
			times = append(times, time.Since(began))
		}
		slices.Sort(times)
		least, middle, most := times[0], times[len(times)/2], times[len(times)-1]
		r := fine("%d of %d arrived, in %.1f ms (%.1f to %.1f)", len(times), x.Tries, ms(middle), ms(least), ms(most))
		switch {
		case lower > 0:
			r = warn("%d of %d arrived at a lower QoS", lower, x.Tries)
		case twice > 0 && qos == 2:
			r = failed(Protocol, "%d messages arrived twice", twice)
		case twice > 0:
			r = warn("%d messages arrived twice", twice)
		}
		return r.with("messages", x.Tries).with("min_ms", ms(least)).with("median_ms", ms(middle)).with("max_ms", ms(most)).
			with("lower_qos", lower).with("duplicates", twice)
	}
}

// lostMessage is a result for a message that did not come back.
func (x *exam) lostMessage(ctx context.Context, err error, n int) Result {
	r := x.blame(ctx, err)
	if errors.Is(err, context.DeadlineExceeded) {
		r = failed(Timeout, "message %d did not come back in time", n+1).
			hint("rules may forbid %s/#, which servers do not say at QoS 0 and in MQTT 3: --prefix TOPIC", x.prefix)
	}
	return r
}

func checkRetained(ctx context.Context, x *exam) Result {
	if !x.available(mqtt.PropRetainAvailable) {
		return skipped("the server states that it keeps none")
	}
	topic := x.topic("retained")
	m, err := x.join(ctx, x.version, nil)
	if err != nil {
		return x.blame(ctx, err)
	}
	defer m.leave()
	qos := x.qos(1)
	x.keeps(topic)
	if err := m.send(ctx, client.Message{Topic: topic, QoS: qos, Retain: true, Payload: []byte("kept")}); err != nil {
		return x.blame(ctx, err)
	}
	in, err := x.firstOf(ctx, topic)
	switch {
	case err != nil:
		return x.blame(ctx, err)
	case string(in.Payload) != "kept":
		return failed(Protocol, "the server does not keep retained messages")
	case !in.Retain:
		return failed(Protocol, "the retained message came without its flag")
	}
	if err := m.send(ctx, client.Message{Topic: topic, QoS: qos, Retain: true}); err != nil {
		return x.blame(ctx, err)
	}
	if in, err = x.firstOf(ctx, topic); err != nil {
		return x.blame(ctx, err)
	}
	if string(in.Payload) == "kept" {
		return failed(Protocol, "an empty message does not remove the retained one")
	}
	x.retained = nil
	return fine("kept, replayed to a new subscriber, removed")
}

// firstOf is what a new subscriber gets: a retained message, or a live one that
// follows for the case that there is none.
func (x *exam) firstOf(ctx context.Context, topic string) (client.Message, error) {
	m, err := x.join(ctx, x.version, x.another)
	if err != nil {
		return client.Message{}, err
	}
	defer m.leave()
	qos := x.qos(1)
	if err := m.subscribe(ctx, x.version, topic, qos); err != nil {
		return client.Message{}, err
	}
	if err := m.send(ctx, client.Message{Topic: topic, QoS: qos, Payload: []byte("live")}); err != nil {
		return client.Message{}, err
	}
	return m.next(ctx, topic)
}

func checkWildcards(ctx context.Context, x *exam) Result {
	if !x.available(mqtt.PropWildcardSubscriptionAvailable) {
		return skipped("the server states that it has none")
	}
	m, err := x.join(ctx, x.version, nil)
	if err != nil {
		return x.blame(ctx, err)
	}
	defer m.leave()
	qos := x.qos(1)
	for i, w := range []struct{ filter, topic, other string }{
		{"w/+", "w/a", "w/a/b"},
		{"+/a", "w/a", "w/b"},
		{"w/+/b", "w/a/b", "w/a/c"},
		{"w/#", "w/a/b", "v/a"},
		{"w/#", "w", "v"}, // # stands for the level above it, too
	} {
		if err := m.subscribe(ctx, x.version, x.topic(w.filter), qos); err != nil {
			return x.blame(ctx, err)
		}
		for _, topic := range []string{w.other, w.topic} {
			if err := m.send(ctx, client.Message{Topic: x.topic(topic), QoS: qos, Payload: []byte(strconv.Itoa(i))}); err != nil {
				return x.blame(ctx, err)
			}
		}
		select {
		case in := <-m.got:
			if in.Topic != x.topic(w.topic) {
				return failed(Protocol, "a subscription to %s brings %s", w.filter, w.other)
			}
		case <-m.Done():
			return x.blame(ctx, m.because(client.ErrConnectionLost))
		case <-ctx.Done():
			if x.version != mqtt.V5 {
				return failed(Timeout, "a subscription to %s brings nothing of %s", w.filter, w.topic).hint("rules may forbid wildcards: --prefix TOPIC")
			}
			return failed(Timeout, "a subscription to %s brings nothing of %s", w.filter, w.topic)
		}
		if _, err := m.Unsubscribe(ctx, []string{x.topic(w.filter)}, nil); err != nil {
			return x.blame(ctx, m.because(err))
		}
	}
	return fine("+ and # match what they should")
}

// sysPatience is how long $SYS may be silent.
const sysPatience = 2 * time.Second

func checkSys(ctx context.Context, x *exam) Result {
	m, err := x.join(ctx, x.version, nil)
	if err != nil {
		return x.blame(ctx, err)
	}
	defer m.leave()
	const none = "nothing of $SYS can be read: not offered, or forbidden"
	if err := m.subscribe(ctx, x.version, "$SYS/#", 0); err != nil {
		if errors.As(err, new(*refusedError)) {
			return warn("$SYS may not be read").with("topics", 0)
		}
		return x.blame(ctx, err)
	}
	patience := time.NewTimer(sysPatience)
	defer patience.Stop()
	version, n := "", 0
	for version == "" {
		select {
		case in := <-m.got:
			if n++; n == 1 {
				patience.Reset(sysPatience / 4) // the rest comes at once or not at all
			}
			if in.Topic == "$SYS/broker/version" {
				version = tame(string(in.Payload))
			}
		case <-m.Done():
			return x.blame(ctx, m.because(client.ErrConnectionLost))
		case <-ctx.Done():
			return x.blame(ctx, ctx.Err())
		case <-patience.C:
			if n == 0 {
				return warn(none).with("topics", 0)
			}
			return fine("$SYS can be read").with("topics", n)
		}
	}
	return fine("$SYS can be read; the server is %s", version).with("version", version)
}

func checkProperties(ctx context.Context, x *exam) Result {
	if x.version != mqtt.V5 {
		return skipped("MQTT %s has none", x.version)
	}
	m, err := x.join(ctx, x.version, nil)
	if err != nil {
		return x.blame(ctx, err)
	}
	defer m.leave()
	topic, qos := x.topic("properties"), x.qos(1)
	if err := m.subscribe(ctx, x.version, topic, qos); err != nil {
		return x.blame(ctx, err)
	}
	var sent mqtt.Properties
	sent = sent.AppendString(mqtt.PropContentType, "text/plain").
		AppendString(mqtt.PropResponseTopic, x.topic("answer")).
		AppendBytes(mqtt.PropCorrelationData, []byte{0, 1, 0xFF}).
		AppendUserProperty("b", "1").AppendUserProperty("a", "2").AppendUserProperty("b", "3")
	if err := m.send(ctx, client.Message{Topic: topic, QoS: qos, Payload: []byte("x"), Properties: sent}); err != nil {
		return x.blame(ctx, err)
	}
	in, err := m.next(ctx, topic)
	if err != nil {
		return x.lostMessage(ctx, err, 0)
	}
	if got := userProperties(in.Properties); !slices.Equal(got, userProperties(sent)) {
		return failed(Protocol, "user properties b=1 a=2 b=3 came as %v", got)
	}
	for _, id := range []mqtt.PropertyID{mqtt.PropContentType, mqtt.PropResponseTopic, mqtt.PropCorrelationData} {
		want, _ := sent.Bytes(id)
		if got, _ := in.Properties.Bytes(id); !bytes.Equal(got, want) {
			return failed(Protocol, "the %s did not come as it was sent", id)
		}
	}
	return fine("user properties in order, content type, response topic, correlation data")
}

func userProperties(p mqtt.Properties) []string {
	var all []string
	for q := range p.All() {
		if q.ID == mqtt.PropUserProperty {
			all = append(all, tame(string(q.Bytes))+"="+tame(string(q.Value)))
		}
	}
	return all
}

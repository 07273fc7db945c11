package doctor

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// sharedMessages go to the two members of a shared subscription.
const sharedMessages = 10

func checkShared(ctx context.Context, x *exam) Result {
	if !x.available(mqtt.PropSharedSubscriptionAvailable) {
		return skipped("the server states that it has none")
	}
	qos := x.qos(1)
	topic, end := x.topic("shared"), x.topic("shared-end")
	var members []*member
	defer func() {
		for _, m := range members {
			m.leave()
		}
	}()
	for i := range 3 { // the last one publishes
		m, err := x.join(ctx, x.version, x.another)
		if err != nil {
			return x.blame(ctx, err)
		}
		members = append(members, m)
		if i == 2 {
			break
		}
		for _, filter := range []string{"$share/" + x.token + "/" + topic, end} {
			if err := m.subscribe(ctx, x.version, filter, qos); err != nil {
				r := x.blame(ctx, err)
				if x.version != mqtt.V5 && r.Cause != Timeout {
					return warn("no shared subscriptions in MQTT %s", x.version)
				}
				return r
			}
		}
	}
	for i := range sharedMessages {
		if err := members[2].send(ctx, client.Message{Topic: topic, QoS: qos, Payload: []byte(strconv.Itoa(i))}); err != nil {
			return x.blame(ctx, err)
		}
	}
	if err := members[2].send(ctx, client.Message{Topic: end, QoS: qos}); err != nil {
		return x.blame(ctx, err)
	}
	var got [2]int
	ended := 0
	for ended < 2 {
		at, in, err := either(ctx, members[0], members[1])
		switch {
		case err != nil:
			return x.lostMessage(ctx, err, got[0]+got[1])
		case in.Topic == end:
			ended++
		case in.Topic == topic:
			got[at]++
		}
	}
	// What is missing now may still be on its way.
	for got[0]+got[1] < sharedMessages {
		grace, cancel := context.WithTimeout(ctx, sysPatience/4)
		at, in, err := either(grace, members[0], members[1])
		cancel()
		if err != nil {
			break
		}
		if in.Topic == topic {
			got[at]++
		}
	}
	total := got[0] + got[1]
	r := fine("two members got %d and %d of %d messages", got[0], got[1], sharedMessages)
	switch {
	case total == 0 && x.version != mqtt.V5:
		r = warn("no shared subscriptions in MQTT %s", x.version)
	case total == 0:
		r = failed(Protocol, "a shared subscription gets nothing")
	case total > sharedMessages:
		r = failed(Protocol, "two members got %d messages together, and %d were sent", total, sharedMessages)
	case total < sharedMessages:
		r = failed(Protocol, "two members got %d messages together of %d", total, sharedMessages)
	}
	return r.with("messages", sharedMessages).with("first", got[0]).with("second", got[1])
}

// either waits for a message at one of two members.
func either(ctx context.Context, a, b *member) (at int, in client.Message, err error) {
	select {
	case in = <-a.got:
		return 0, in, nil
	case in = <-b.got:
		return 1, in, nil
	case <-a.Done():
		return 0, in, a.because(client.ErrConnectionLost)
	case <-b.Done():
		return 1, in, b.because(client.ErrConnectionLost)
	case <-ctx.Done():
		return 0, in, ctx.Err()
	}
}

func checkSession(ctx context.Context, x *exam) Result {
	topic, qos := x.topic("session"), x.qos(1)
	id := x.nextID()
	lasting := func(clean bool) func(*client.Options) {
		return func(o *client.Options) {
			o.ClientID, o.CleanStart = id, clean
			if x.version == mqtt.V5 {
				o.Properties = o.Properties.Without(mqtt.PropSessionExpiryInterval).AppendUint32(mqtt.PropSessionExpiryInterval, 60)
			}
		}
	}
	x.sessions[id], x.dirty = id, true
	m, err := x.join(ctx, x.version, lasting(x.version == mqtt.V5))
	if err != nil {
		return x.blame(ctx, err)
	}
	err = m.subscribe(ctx, x.version, topic, qos)
	m.leave()
	if err != nil {
		return x.blame(ctx, err)
	}
	other, err := x.join(ctx, x.version, x.another)
	if err != nil {
		return x.blame(ctx, err)
	}
	err = other.send(ctx, client.Message{Topic: topic, QoS: qos, Payload: []byte("meanwhile")})
	other.leave()
	if err != nil {
		return x.blame(ctx, err)
	}
	if m, err = x.join(ctx, x.version, lasting(false)); err != nil {
		return x.blame(ctx, err)
	}
	r := x.resumed(ctx, m, topic, qos)
	m.leave()
	if err := x.forgetSession(ctx, id); err != nil && r.Verdict == OK {
		return x.blame(ctx, err)
	}
	return r
}

// resumed looks at a session that was left.
func (x *exam) resumed(ctx context.Context, m *member, topic string, qos uint8) Result {
	if !m.ack.SessionPresent && x.version != mqtt.V31 { // which does not say
		return warn("the server has not kept the session").with("present", false)
	}
	if qos == 0 {
		return fine("kept; at QoS 0 nothing waits in it").with("present", true)
	}
	began := time.Now()
	if _, err := m.next(ctx, topic); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return failed(Protocol, "the session was kept, but not the message that came meanwhile")
		}
		return x.blame(ctx, err)
	}
	return fine("kept, and with it the message that came meanwhile").with("present", true).with("message_ms", ms(time.Since(began)))
}

func checkWill(ctx context.Context, x *exam) Result {
	topic, qos := x.topic("will"), x.qos(1)
	watcher, err := x.join(ctx, x.version, x.another)
	if err != nil {
		return x.blame(ctx, err)
	}
	defer watcher.leave()
	if err := watcher.subscribe(ctx, x.version, topic, qos); err != nil {
		return x.blame(ctx, err)
	}
	m, err := x.join(ctx, x.version, func(o *client.Options) {
		o.Will = &client.Will{Topic: topic, Payload: []byte("gone"), QoS: qos}
	})
	if err != nil {
		return x.blame(ctx, err)
	}
	began := time.Now()
	_ = m.Close()
	<-m.Done()
	in, err := watcher.next(ctx, topic)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failed(Protocol, "the server does not publish the will of a connection that breaks").
			hint("rules may forbid %s/#, which servers do not say of wills: --prefix TOPIC", x.prefix)
	case err != nil:
		return x.blame(ctx, err)
	case string(in.Payload) != "gone":
		return failed(Protocol, "the will came with another payload")
	}
	return fine("published %.1f ms after the connection broke", ms(time.Since(began))).with("will_ms", ms(time.Since(began)))
}

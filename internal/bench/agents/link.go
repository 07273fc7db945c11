package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/client"
)

// link is a connection to the broker between both ends.
type link struct {
	*client.Client
	inbox chan letter
	ended chan struct{} // closed when nobody reads the inbox any more
}

// letter is a message that has arrived.
type letter struct {
	topic   string
	payload []byte
	at      time.Time
}

// dial connects and subscribes to one filter.
func dial(ctx context.Context, o client.Options, filter string) (*link, error) {
	l := &link{inbox: make(chan letter, inboxSize), ended: make(chan struct{})}
	o.CleanStart = true
	o.Reconnect = client.ReconnectPolicy{Attempts: -1, MaxDelay: 5 * time.Second}
	o.OnMessage = func(m client.Message) {
		if m.Retain || len(m.Payload) > maxMessageBytes {
			return
		}
		select {
		case l.inbox <- letter{m.Topic, bytes.Clone(m.Payload), time.Now()}:
		case <-l.ended:
		}
	}
	var err error
	if l.Client, err = client.New(o); err != nil {
		return nil, err
	}
	if _, err := l.Connect(ctx); err != nil {
		return nil, err
	}
	codes, err := l.Subscribe(ctx, []client.Subscription{{Filter: filter, QoS: 1}}, nil)
	if err == nil && codes[0].IsError() {
		err = fmt.Errorf("the broker refuses the subscription to %q", filter)
	}
	if err != nil {
		l.leave()
		return nil, err
	}
	return l, nil
}

// send publishes v, at QoS 0 where it is of no use later.
func (l *link) send(ctx context.Context, topic string, v any, qos uint8) error {
	b := encode(v)
	if len(b) > maxMessageBytes {
		return fmt.Errorf("a message of %d bytes is too long to be sent", len(b))
	}
	return l.Publish(ctx, client.Message{Topic: topic, Payload: b, QoS: qos}, nil)
}

// farewell bounds how long a broker may take to let go.
const farewell = 3 * time.Second

// leave sends what is pending and disconnects.
func (l *link) leave() {
	close(l.ended)
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = l.Flush(ctx)
	if err := l.Disconnect(ctx, 0, nil); err != nil {
		_ = l.Close()
	}
	<-l.Done()
}

// errEnded is why a link ends that nobody has ended.
func (l *link) errEnded() error {
	if err := l.Err(); err != nil {
		return err
	}
	return errors.New("the connection has ended")
}

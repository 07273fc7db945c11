package exproto

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
)

// service is ConnectionAdapter. Whatever becomes of a call, gRPC says that it
// went well, and the result code tells.
type service struct {
	pb.UnimplementedConnectionAdapterServer
	g *Gateway
}

// with calls fn with a device, and answers with what becomes of it.
func (s *service) with(conn string, fn func(c *client) error) (*pb.CodeResponse, error) {
	c, err := s.g.clients.find(conn)
	if err == nil {
		err = fn(c)
	}
	return s.g.answer(err), nil
}

// withKnown is with for a device that has said who it is; fn gets its mountpoint.
func (s *service) withKnown(conn string, qos uint32, topic string, fn func(c *client, mp string) error) (*pb.CodeResponse, error) {
	return s.with(conn, func(c *client) error {
		c.mu.Lock()
		known, mp := c.known, c.mountpoint
		c.mu.Unlock()
		switch {
		case qos > 2:
			return errQoS
		case topic == "":
			return missing("topic")
		case !known:
			return errAnonymous
		}
		return fn(c, mp)
	})
}

// Send writes to the device. Success means handed over, not delivered.
func (s *service) Send(ctx context.Context, r *pb.SendBytesRequest) (*pb.CodeResponse, error) {
	return s.with(r.Conn, func(c *client) error { return c.write(ctx, r.Bytes) })
}

// writable is how long to wait before a device is asked again whether it takes
// more.
const writable = 5 * time.Millisecond

// write waits while too much waits to be written. A device that has closed only
// its own side may still read.
func (c *client) write(ctx context.Context, b []byte) error {
	for {
		if why := c.over(); why != "" && why != reasonPeer {
			return errGone
		}
		if c.Append(func(dst []byte) []byte { return append(dst, b...) }) {
			c.Flush()
			return nil
		}
		select {
		case <-ctx.Done():
			return errBusy
		case <-time.After(writable):
		}
	}
}

// Close closes the device's socket.
func (s *service) Close(_ context.Context, r *pb.CloseSocketRequest) (*pb.CodeResponse, error) {
	return s.with(r.Conn, func(c *client) error {
		if c.over() != "" {
			return errGone
		}
		c.stop(reasonNormal, errByHandler)
		return nil
	})
}

// StartTimer watches the device from now on.
func (s *service) StartTimer(_ context.Context, r *pb.TimerRequest) (*pb.CodeResponse, error) {
	return s.with(r.Conn, func(c *client) error {
		switch {
		case r.Type != pb.TimerType_KEEPALIVE || r.Interval == 0:
			return errTimer
		case c.over() != "":
			return errGone
		}
		c.watch.keepalive(time.Duration(r.Interval) * time.Second)
		return nil
	})
}

// Publish publishes in the name of the device.
func (s *service) Publish(ctx context.Context, r *pb.PublishRequest) (*pb.CodeResponse, error) {
	return s.withKnown(r.Conn, r.Qos, r.Topic, func(c *client, mp string) error {
		v := message.View{Topic: []byte(mp + r.Topic), Payload: r.Payload, QoS: uint8(r.Qos)}
		if err := router.ValidateName(v.Topic); err != nil {
			return err
		}
		return c.Do(ctx, func(l *broker.Link) error { return publish(l, v) })
	})
}

// publish sends a message completely: what would confirm it is the answer.
func publish(l *broker.Link, v message.View) error {
	if v.QoS > 0 {
		v.PacketID = 1
	}
	_, err := l.Publish(v)
	if err == nil && v.QoS == 2 {
		_, err = l.Release(v.PacketID)
	}
	return err
}

// RawPublish publishes in nobody's name: there are no rights and no mountpoint,
// and a QoS that does not exist is the highest.
func (s *service) RawPublish(ctx context.Context, r *pb.RawPublishRequest) (*pb.CodeResponse, error) {
	err := router.ValidateName(r.Topic)
	if r.Topic == "" {
		err = missing("topic")
	}
	if err == nil {
		v := message.View{Topic: []byte(r.Topic), Payload: r.Payload, QoS: uint8(min(r.Qos, 2))}
		_, err = s.g.b.Publish(ctx, v, "exproto")
	}
	return s.g.answer(err), nil
}

// Subscribe lets messages come by OnReceivedMessages. The broker delivers at
// QoS 1 at most, because there is nothing that could confirm more; the handler is
// told the QoS of the publisher.
func (s *service) Subscribe(ctx context.Context, r *pb.SubscribeRequest) (*pb.CodeResponse, error) {
	return s.withKnown(r.Conn, r.Qos, r.Topic, func(c *client, mp string) error {
		filter, err := mount(mp, r.Topic)
		if err != nil {
			return err
		}
		return c.Do(ctx, func(l *broker.Link) error {
			grants := l.Subscribe([]broker.Subscription{{Filter: filter, QoS: uint8(min(r.Qos, 1)), RetainHandling: 1}})
			l.Ready()
			return grants[0].Err
		})
	})
}

// Unsubscribe ends that. A filter that is not there is none of a problem.
func (s *service) Unsubscribe(ctx context.Context, r *pb.UnsubscribeRequest) (*pb.CodeResponse, error) {
	return s.withKnown(r.Conn, 0, r.Topic, func(c *client, mp string) error {
		filter, err := mount(mp, r.Topic)
		if err != nil {
			return err
		}
		return c.Do(ctx, func(l *broker.Link) error {
			err := l.Unsubscribe([]string{filter})[0].Err
			if errors.Is(err, broker.ErrNoSubscription) {
				return nil
			}
			return err
		})
	})
}

func remote(c *client) net.Addr {
	if a := c.Info().Remote; a.IsValid() {
		return net.TCPAddrFromAddrPort(a)
	}
	return nil
}

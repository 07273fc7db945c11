package exproto

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/iotctl/iotctl/internal/broker"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/session"
)

// tellAll works the queue off.
func (c *client) tellAll() {
	for {
		e, writable, ok := c.q.take()
		if !ok {
			return
		}
		if e.kind == onClosed {
			c.tellEnd()
			return
		}
		if l := c.Link(); writable && l != nil {
			l.Writable()
		}
		method, request := c.request(&e)
		err := c.p.handler.call(c.calls, method, request)
		switch {
		case err != nil:
			c.deaf = isUnreachable(err) || e.kind == onCreated && errors.Is(err, errNoTurn)
			c.failed(err)
		case len(e.acks) > 0:
			c.acknowledge(e.acks)
		}
		if e.told != nil {
			close(e.told)
		}
	}
}

// request is the call that tells of an event.
func (c *client) request(e *event) (method string, m proto.Message) {
	switch e.kind {
	case onCreated:
		return methodCreated, &pb.SocketCreatedRequest{Conn: c.conn, Conninfo: c.connInfo()}
	case onBytes:
		return "OnReceivedBytes", &pb.ReceivedBytesRequest{Conn: c.conn, Bytes: e.bytes}
	case onMessages:
		return "OnReceivedMessages", &pb.ReceivedMessagesRequest{Conn: c.conn, Messages: e.batch}
	case onTimer:
		return "OnTimerTimeout", &pb.TimerTimeoutRequest{Conn: c.conn, Type: pb.TimerType_KEEPALIVE}
	}
	return "OnSocketClosed", &pb.SocketClosedRequest{Conn: c.conn, Reason: c.over()}
}

// failed: the handler could not be told, so that it is of no use to go on.
func (c *client) failed(err error) {
	if c.calls.Err() != nil { // nobody waits for it any more
		return
	}
	c.complain(err)
	c.stop(reasonHandler, err)
	c.drop()
}

// tellEnd tells the handler that the connection is gone, and forgets it.
func (c *client) tellEnd() {
	defer close(c.told)
	defer c.hangUp()
	defer c.g.clients.remove(c)
	c.flushing.Stop()
	if c.deaf {
		return
	}
	ctx, cancel := context.WithCancel(c.p.handler.lasting)
	defer cancel()
	if c.p.handler.turns == nil { // other calls have a deadline; streams would pass it on to the handler
		defer time.AfterFunc(c.g.cfg.FlushTimeout, cancel).Stop()
	}
	method, request := c.request(&event{kind: onClosed})
	if err := c.p.handler.call(ctx, method, request); err != nil {
		c.complain(err)
	}
}

// complain logs that the handler fails, once a minute.
func (c *client) complain(err error) {
	c.g.count.handlerErrors.Add(1)
	if yes, kept := c.p.handler.errors.now(); yes {
		c.Log().Warn("exproto: the handler fails, and its devices are closed", "err", err, "more_before", kept)
	}
}

// acknowledge lets go of messages that the handler has taken, so that others may
// follow.
func (c *client) acknowledge(ids []uint16) {
	err := c.Do(c.calls, func(l *broker.Link) error {
		for _, id := range ids {
			if err := l.Acked(session.Puback, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && c.over() == "" {
		c.Log().Debug("messages not acknowledged", "err", err)
	}
}

// messageID is 32 hexadecimal digits, for Message.id.
func messageID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

package exproto

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
)

// streams are those to a ConnectionHandler: one per method, which all devices
// share, opened with the first event and again when the handler has ended it. An
// event counts as told when it has been written, and only those of one method
// keep their order; with StreamPerEvent each has a stream of its own, and is told
// when the handler has answered. OnSocketCreated has its own in any case:
// otherwise the first bytes could come before it.
//
// Streams never have a deadline: handlers of .NET end them when it is over.
type streams struct {
	h      *handler
	ctx    context.Context
	cancel context.CancelFunc
	shared map[string]*stream
}

type stream struct {
	lock chan struct{} // holds one while somebody writes
	s    grpc.ClientStream
}

var streamDesc = &grpc.StreamDesc{ClientStreams: true}

func newStreams(h *handler) *streams {
	ss := &streams{h: h, shared: map[string]*stream{}}
	ss.ctx, ss.cancel = context.WithCancel(h.lasting)
	for _, method := range []string{"OnSocketClosed", "OnReceivedBytes", "OnTimerTimeout", "OnReceivedMessages"} {
		ss.shared[method] = &stream{lock: make(chan struct{}, 1)}
	}
	return ss
}

func (ss *streams) open(ctx context.Context, method string) (grpc.ClientStream, error) {
	return ss.h.current().cc.NewStream(ss.h.identified(ctx), streamDesc, "/"+interfaceName+streamService+"/"+method)
}

func (ss *streams) call(ctx context.Context, method string, m proto.Message) error {
	st := ss.shared[method]
	if st == nil || ss.h.cfg.StreamPerEvent {
		return ss.once(ctx, method, m)
	}
	select {
	case st.lock <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-st.lock }()
	err := ss.send(st, method, m)
	if err != nil { // the handler has ended it
		err = ss.send(st, method, m)
	}
	return err
}

// send writes to the shared stream. Called with its lock.
func (ss *streams) send(st *stream, method string, m proto.Message) (err error) {
	if st.s == nil {
		if st.s, err = ss.open(ss.ctx, method); err != nil {
			st.s = nil
			return err
		}
	}
	if err = st.s.SendMsg(m); err != nil {
		err = cause(st.s, err)
		st.s = nil
	}
	return err
}

// cause is why a stream has ended, of which SendMsg says only that it has.
func cause(s grpc.ClientStream, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := s.RecvMsg(&pb.EmptySuccess{}); err != nil {
		return err
	}
	return errors.New("the handler ends its streams at once")
}

// once tells one event on a stream of its own.
func (ss *streams) once(ctx context.Context, method string, m proto.Message) error {
	s, err := ss.open(ctx, method)
	if err != nil {
		return err
	}
	if err := s.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	return s.RecvMsg(&pb.EmptySuccess{})
}

// farewell is how long the handler may take to answer the end of its streams.
const farewell = 2 * time.Second

// close ends all of them, after what has been written has been read.
func (ss *streams) close() {
	defer ss.cancel()
	defer time.AfterFunc(farewell, ss.cancel).Stop()
	for _, st := range ss.shared {
		select {
		case st.lock <- struct{}{}:
		case <-ss.ctx.Done():
			continue
		}
		if st.s != nil && st.s.CloseSend() == nil {
			_ = st.s.RecvMsg(&pb.EmptySuccess{})
		}
	}
}

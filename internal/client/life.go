package client

import (
	"context"
	"sync"
	"time"
)

// Life is what the lives of all clients have in common, whatever they speak: one
// Connect, one connection T after the other, called a link here, and one end. The
// client that it belongs to says in Ways what is its own. They share a lock,
// room.L, and tell each other of changes by room.Broadcast.
type Life[T any] struct {
	o      *Options
	ways   Ways[T]
	ctx    context.Context // ends with cancel: no further link
	cancel context.CancelFunc
	done   chan struct{}
	room   *sync.Cond // whatever the client's methods may wait for

	// Guarded by room.L.
	started, closing, ended bool
	err                     error
	link                    *T // nil while there is none in use
}

// Ways are how one kind of client goes about its links. They are called without
// the lock, all but Fail by one goroutine at a time.
type Ways[T any] struct {
	// Open dials and logs in within ctx, whose cause is ErrTimeout when that took
	// too long, and hands the link to Life.Use; again is false the first time. On
	// error nothing remains, and the Connack is what the server has said, if anything.
	Open func(ctx context.Context, again bool) (*T, Connack, error)
	// Fail ends a link for reason, the first one given. It does not wait.
	Fail func(l *T, reason error)
	// Outlive waits until a link has failed and nothing of it remains.
	Outlive func(l *T) (opened time.Time, reason error)
	// Final reports that after err no attempt can fare better.
	Final func(err error) bool
	// Renew subscribes again, on a link that is not the first. ctx ends with the client.
	Renew func(ctx context.Context, l *T)
	// Abandon gives up what has no outcome, for Life.Reason, after the last link;
	// nil if links leave nothing behind.
	Abandon func()
}

// NewLife returns the life of a client that has not begun. Of o count
// ConnectTimeout, Reconnect and OnState.
func NewLife[T any](o *Options, room *sync.Cond, ways Ways[T]) *Life[T] {
	f := &Life[T]{o: o, ways: ways, room: room, done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Connect is API.Connect. Errors: ErrClosed, those of Ways.Open.
func (f *Life[T]) Connect(ctx context.Context) (Connack, error) {
	f.room.L.Lock()
	if f.started || f.closing {
		f.room.L.Unlock()
		return Connack{}, ErrClosed
	}
	f.started = true
	f.room.L.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(f.ctx, cancel)() // Close ends the attempt as well
	defer cancel()
	l, ack, err := f.open(ctx, false)
	if err != nil {
		f.finish(err)
		return ack, err
	}
	go f.supervise(l)
	return ack, nil
}

// open makes one attempt.
func (f *Life[T]) open(ctx context.Context, again bool) (*T, Connack, error) {
	if f.o.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, f.o.ConnectTimeout, ErrTimeout)
		defer cancel()
	}
	return f.ways.Open(ctx, again)
}

// Use takes a link into use that the server has accepted with ack. resume, if not
// nil, is called with the lock held, before anybody else can use the link.
func (f *Life[T]) Use(l *T, ack Connack, resume func()) {
	f.Tell(State{Kind: StateConnected, Connack: &ack})
	f.room.L.Lock()
	f.link = l
	if resume != nil {
		resume()
	}
	closing := f.closing
	f.room.Broadcast()
	f.room.L.Unlock()
	if closing {
		f.ways.Fail(l, ErrClosed)
	}
}

// Link is the one in use, nil while there is none. The lock is held.
func (f *Life[T]) Link() *T { return f.link }

// Over reports that the client takes nothing any more. The lock is held.
func (f *Life[T]) Over() bool { return f.ended || f.closing }

// Reason is why the client has ended, ErrClosed if nothing went wrong. The lock
// is held.
func (f *Life[T]) Reason() error {
	if f.err != nil {
		return f.err
	}
	return ErrClosed
}

// Retire lets no other link follow and returns the one in use, which is left to the
// caller: the first one to retire the client may say goodbye on it, then it has to fail.
func (f *Life[T]) Retire() (l *T, first bool) {
	f.room.L.Lock()
	first = !f.closing
	f.closing = true
	l, started := f.link, f.started
	f.room.Broadcast()
	f.room.L.Unlock()
	f.cancel()
	if first && !started {
		f.finish(nil)
	}
	return l, first
}

// Close is API.Close.
func (f *Life[T]) Close() {
	if l, _ := f.Retire(); l != nil {
		f.ways.Fail(l, ErrClosed)
	}
}

// Done is API.Done.
func (f *Life[T]) Done() <-chan struct{} { return f.done }

// Err is API.Err.
func (f *Life[T]) Err() error {
	f.room.L.Lock()
	defer f.room.L.Unlock()
	return f.err
}

// finish ends the client: what has no outcome is lost.
func (f *Life[T]) finish(err error) {
	f.cancel()
	f.room.L.Lock()
	f.ended, f.err = true, err
	f.room.Broadcast()
	f.room.L.Unlock()
	if f.ways.Abandon != nil {
		f.ways.Abandon()
	}
	f.Tell(State{Kind: StateClosed, Err: err})
	close(f.done)
}

// Tell calls OnState, if there is one.
func (f *Life[T]) Tell(s State) {
	if f.o.OnState != nil {
		f.o.OnState(s)
	}
}

// wake lets everybody who waits for room look again.
func (f *Life[T]) wake() {
	f.room.L.Lock()
	f.room.Broadcast()
	f.room.L.Unlock()
}

// Await waits, with the lock held, until ready holds or ctx ends.
func (f *Life[T]) Await(ctx context.Context, ready func() bool) error {
	if ready() {
		return nil
	}
	stop := context.AfterFunc(ctx, f.wake)
	defer stop()
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		f.room.Wait()
	}
	return nil
}

package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/session"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
)

// Config of a broker. The zero value is a usable in-memory broker that allows
// everything.
type Config struct {
	Store      store.Store     // nil: in memory
	Authorizer auth.Authorizer // nil: everything is allowed
	Logger     *slog.Logger    // nil: discarded

	Queue session.Limits // per session
	// MaxSessions bounds all sessions, connected or not. 0: 1,000,000.
	MaxSessions int
	// MaxSessionsPerOwner bounds the sessions without a connection that one
	// identity may leave behind. 0: 100,000.
	MaxSessionsPerOwner int
	// MaxSubscriptions bounds the subscriptions of one session. 0: 10,000.
	MaxSubscriptions int
	// MaxRetained and MaxRetainedBytes bound all retained messages.
	// 0: 1,000,000 messages, 1 GiB.
	MaxRetained      int
	MaxRetainedBytes int
	// MaxExpiry caps the session expiry interval. 0: no cap.
	MaxExpiry time.Duration
	// Shared is how a shared subscription chooses a member.
	Shared Strategy
	// SysInterval is the time between updates of $SYS. 0: 10 s; below 0: no
	// $SYS at all.
	SysInterval time.Duration
	// MoreSys is asked at each update for values of the server around the
	// broker, by topic below $SYS/broker. One that it no longer returns is
	// removed. nil: there are none.
	MoreSys func() map[string]string
	// Version is published as $SYS/broker/version.
	Version string
}

func (c Config) withDefaults() Config {
	if c.Store == nil {
		c.Store = mem.New()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	def(&c.MaxSessions, 1_000_000)
	def(&c.MaxSessionsPerOwner, 100_000)
	def(&c.MaxSubscriptions, 10_000)
	def(&c.MaxRetained, 1_000_000)
	def(&c.MaxRetainedBytes, 1<<30)
	def(&c.SysInterval, 10*time.Second)
	return c
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate returns every problem of the configuration, with the names that the
// configuration file uses.
func (c Config) Validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int
	}{
		{"max_sessions", c.MaxSessions},
		{"max_sessions_per_owner", c.MaxSessionsPerOwner},
		{"max_subscriptions", c.MaxSubscriptions},
		{"max_retained", c.MaxRetained},
		{"max_retained_bytes", c.MaxRetainedBytes},
		{"queue.messages", c.Queue.MaxQueued},
		{"queue.bytes", c.Queue.MaxQueuedBytes},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s: %d is negative", n.name, n.value))
		}
	}
	if c.MaxExpiry < 0 {
		errs = append(errs, fmt.Errorf("max_session_expiry: %v is negative", c.MaxExpiry))
	}
	if int(c.Shared) >= len(strategyNames) {
		errs = append(errs, fmt.Errorf("shared: unknown strategy %d", c.Shared))
	}
	return errors.Join(errs...)
}

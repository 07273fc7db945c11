package iottext

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/router"
)

// Config of the gateway. The zero value refuses everybody, because it has no
// authenticator.
type Config struct {
	Authenticator auth.Authenticator // nil: nobody may connect
	Logger        *slog.Logger       // nil: discarded

	// TopicPrefix is what the topics of variables and devices begin with:
	// PREFIX/var/NAME and PREFIX/dev/ID/in. "": text.
	TopicPrefix string
	// HelloInterval is how long a client may be silent before it is asked
	// HELLO?, and asked again. 0: 30 s.
	HelloInterval time.Duration
	// HelloUnanswered is how many HELLO? in a row may stay without a sign of
	// life; one interval after the last the connection ends. 0: 3.
	HelloUnanswered int
	// MaxLineBytes is the longest line, its line feed included, that a client may
	// send, and that it is sent: a value that would not fit is dropped. 0: 4 KiB.
	MaxLineBytes int
	// MaxSubscriptions bounds the variables that one device is subscribed to.
	// 0: 100.
	MaxSubscriptions int
	// ConnectTimeout is how long a client may take until its ID is accepted.
	// People type, so 0 is 2 minutes.
	ConnectTimeout time.Duration
	// ApprovalTimeout is how long instead one may stay connected that waits for
	// an operator. 0: 10 minutes.
	ApprovalTimeout time.Duration
	// ApprovalInterval is how often it is looked up whether the operator has
	// decided. 0: 5 s.
	ApprovalInterval time.Duration
	// Times adds TIME, when a value was published, to what devices are sent.
	Times bool
	// HideReasons leaves REASON away, except for the code of a device that waits
	// for approval. The log has it.
	HideReasons bool
	// ShareClientRegistry gives devices and MQTT clients one space of client
	// identifiers: each takes over from the other.
	ShareClientRegistry bool
	// PendingBytes is how much may wait to be written to one client. 0: 256 KiB.
	PendingBytes int
	// SendTimeout ends a connection that takes nothing for so long. 0: 30 s.
	SendTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	gateway.Default(&c.TopicPrefix, "text")
	gateway.Default(&c.HelloInterval, 30*time.Second)
	gateway.Default(&c.HelloUnanswered, 3)
	gateway.Default(&c.MaxLineBytes, iottext.DefaultLine)
	gateway.Default(&c.MaxSubscriptions, 100)
	gateway.Default(&c.ConnectTimeout, 2*time.Minute)
	gateway.Default(&c.ApprovalTimeout, 10*time.Minute)
	gateway.Default(&c.ApprovalInterval, 5*time.Second)
	gateway.Default(&c.PendingBytes, 256<<10)
	gateway.Default(&c.SendTimeout, 30*time.Second)
	return c
}

// minLineBytes leaves room for a name and a number.
const minLineBytes = 256

// Validate returns every problem, with the names of the configuration file.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxLineBytes != 0 && (c.MaxLineBytes < minLineBytes || c.MaxLineBytes > iottext.MaxLine) {
		bad("max_line_bytes: %d is not between %d and %d", c.MaxLineBytes, minLineBytes, iottext.MaxLine)
	}
	errs = append(errs,
		gateway.NotNegative("hello_unanswered", c.HelloUnanswered),
		gateway.NotNegative("max_subscriptions", c.MaxSubscriptions),
		gateway.NotNegative("pending_bytes", c.PendingBytes),
		gateway.NotNegative("hello_interval", c.HelloInterval),
		gateway.NotNegative("connect_timeout", c.ConnectTimeout),
		gateway.NotNegative("approval_timeout", c.ApprovalTimeout),
		gateway.NotNegative("approval_interval", c.ApprovalInterval),
		gateway.NotNegative("send_timeout", c.SendTimeout),
	)
	prefix := c.withDefaults().TopicPrefix
	if err := router.ValidateName(prefix + "/var/name"); err != nil {
		bad("topic_prefix: %w", err)
	} else if prefix[0] == '$' {
		bad("topic_prefix: %q begins with a dollar sign, as topics of the broker do", prefix)
	}
	return errors.Join(errs...)
}

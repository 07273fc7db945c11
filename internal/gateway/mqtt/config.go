package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/gateway"
)

// Config of the gateway. The zero value refuses everybody, because it has no
// authenticator.
type Config struct {
	Authenticator auth.Authenticator   // nil: nobody may connect
	Enhanced      auth.EnhancedMethods // MQTT 5.0 enhanced authentication
	Logger        *slog.Logger         // nil: discarded

	// MaxPacketBytes is the largest packet accepted. 0: 1 MiB.
	MaxPacketBytes int
	// ReceiveMaximum is how many QoS 1 and 2 messages a client may have open.
	// 0: 32.
	ReceiveMaximum int
	// MaxInflight caps what the client says about itself. 0: 32; clients
	// before 5.0 say nothing and get this.
	MaxInflight int
	// TopicAliasMaximum is how many aliases a client may define, and how many
	// the server defines at most. 0: 16; below 0: none.
	TopicAliasMaximum int
	// ConnectTimeout is how long a client may take to be connected. 0: 10 s.
	ConnectTimeout time.Duration
	// MaxKeepAlive replaces a longer keep alive, or none, of a 5.0 client.
	// 0: only "none" is replaced, by 10 minutes.
	MaxKeepAlive time.Duration
	// SessionExpiry is how long a session of a client before 5.0 that is not
	// clean outlives its connection. 0: 7 days.
	SessionExpiry time.Duration
	// PendingBytes is how much may wait to be written to one client. 0: 1 MiB.
	PendingBytes int
	// SendTimeout ends a connection that takes nothing for so long. 0: 30 s.
	SendTimeout time.Duration
	// HideReasons answers "unspecified error" where a reason would tell a
	// client what it may not do, and sends no reason strings.
	HideReasons bool
	// ResponseInformation is what a 5.0 client that asks for it is told; %c
	// stands for its client identifier. "" is "response/%c/"; "-" is nothing.
	ResponseInformation string
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	gateway.Default(&c.MaxPacketBytes, 1<<20)
	gateway.Default(&c.ReceiveMaximum, 32)
	gateway.Default(&c.MaxInflight, 32)
	gateway.Default(&c.TopicAliasMaximum, 16)
	gateway.Default(&c.PendingBytes, 1<<20)
	gateway.Default(&c.ConnectTimeout, 10*time.Second)
	gateway.Default(&c.SessionExpiry, 7*24*time.Hour)
	gateway.Default(&c.SendTimeout, 30*time.Second)
	c.TopicAliasMaximum = max(0, c.TopicAliasMaximum)
	switch c.ResponseInformation {
	case "":
		c.ResponseInformation = "response/%c/"
	case "-":
		c.ResponseInformation = ""
	}
	return c
}

// minPacketBytes leaves room for a CONNECT with the fields that every client
// has.
const minPacketBytes = 128

// Validate returns every problem, with the names of the configuration file.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxPacketBytes != 0 && (c.MaxPacketBytes < minPacketBytes || c.MaxPacketBytes > mqtt.MaxRemaining) {
		bad("max_packet_bytes: %d is not between %d and %d", c.MaxPacketBytes, minPacketBytes, mqtt.MaxRemaining)
	}
	for _, n := range []struct {
		name string
		v    int
	}{{"receive_maximum", c.ReceiveMaximum}, {"max_inflight", c.MaxInflight}} {
		if n.v < 0 || n.v > 65535 {
			bad("%s: %d is not between 1 and 65535", n.name, n.v)
		}
	}
	if c.TopicAliasMaximum > 65535 {
		bad("topic_alias_maximum: %d is above 65535", c.TopicAliasMaximum)
	}
	errs = append(errs,
		gateway.NotNegative("pending_bytes", c.PendingBytes),
		gateway.NotNegative("connect_timeout", c.ConnectTimeout),
		gateway.NotNegative("max_keep_alive", c.MaxKeepAlive),
		gateway.NotNegative("session_expiry", c.SessionExpiry),
		gateway.NotNegative("send_timeout", c.SendTimeout),
	)
	if c.MaxKeepAlive > 65535*time.Second || c.MaxKeepAlive > 0 && c.MaxKeepAlive < time.Second {
		bad("max_keep_alive: %v is not between 1s and 65535s", c.MaxKeepAlive)
	}
	if err := c.Enhanced.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

package emqtcp

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/router"
)

// Config of the gateway. The zero value refuses everybody, because it has no
// authenticator.
type Config struct {
	Authenticator auth.Authenticator // nil: nobody may connect
	Logger        *slog.Logger       // nil: discarded

	// IdleTimeout is how long a device may take to be connected. 0: 15 s.
	IdleTimeout time.Duration
	// UpTopic is where the data of a device goes. %c stands for its client
	// identifier, %u for the user name that it gives, or else for the user that
	// it is by its certificate or approval. "": tcp/%c/up.
	UpTopic string
	// DnTopic is what a device is subscribed to, with the same placeholders. ""
	// is tcp/%c/dn. It may be any topic filter.
	DnTopic string
	// MaxPacketSize is the longest payload that a device may send. 0: 65,535,
	// which is the most that the protocol can express.
	MaxPacketSize int
	// MaxConnectSize is the same for CONNECT. 0: 4,096.
	MaxConnectSize int
	// KeepaliveFactor times the keep alive of a device is how long it may send
	// nothing. 0: 1.5.
	KeepaliveFactor float64
	// AcceptVersion0 lets devices in that call version 1 of the protocol 0.
	AcceptVersion0 bool `yaml:"accept_version_0"`
	// StrictFlags ends the connection of a device that sets reserved flags. They
	// are counted otherwise.
	StrictFlags bool
	// RefuseSlash refuses client identifiers and user names that hold a slash,
	// which makes several topic levels of one.
	RefuseSlash bool
	// ShareClientRegistry gives devices and MQTT clients one space of client
	// identifiers: each takes over from the other.
	ShareClientRegistry bool
	// PendingBytes is how much may wait to be written to one device; what comes
	// beyond is dropped. 0: 256 KiB.
	PendingBytes int
	// SendTimeout ends a connection that takes nothing for so long. 0: 15 s.
	SendTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	gateway.Default(&c.IdleTimeout, 15*time.Second)
	gateway.Default(&c.UpTopic, "tcp/%c/up")
	gateway.Default(&c.DnTopic, "tcp/%c/dn")
	gateway.Default(&c.MaxPacketSize, emqtcp.MaxPayload)
	gateway.Default(&c.MaxConnectSize, 4096)
	gateway.Default(&c.KeepaliveFactor, 1.5)
	gateway.Default(&c.PendingBytes, 256<<10)
	gateway.Default(&c.SendTimeout, 15*time.Second)
	return c
}

// minConnectSize leaves room for a CONNECT with short names and a password.
const minConnectSize = 64

// Validate returns every problem, with the names of the configuration file.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, n := range []struct {
		name     string
		v, least int
	}{{"max_packet_size", c.MaxPacketSize, 1}, {"max_connect_size", c.MaxConnectSize, minConnectSize}} {
		if n.v != 0 && (n.v < n.least || n.v > emqtcp.MaxPayload) {
			bad("%s: %d is not between %d and %d", n.name, n.v, n.least, emqtcp.MaxPayload)
		}
	}
	errs = append(errs,
		gateway.NotNegative("pending_bytes", c.PendingBytes),
		gateway.NotNegative("idle_timeout", c.IdleTimeout),
		gateway.NotNegative("send_timeout", c.SendTimeout),
	)
	if f := c.KeepaliveFactor; f != 0 && (math.IsNaN(f) || f < 1 || f > 100) {
		bad("keepalive_factor: %v is not between 1 and 100", f)
	}
	c = c.withDefaults() // below, any name will do as an example
	if err := checkTemplate(c.UpTopic); err != nil {
		bad("up_topic: %w", err)
	} else if err := router.ValidateName(expand(c.UpTopic, "c", "u")); err != nil {
		bad("up_topic: %w", err)
	}
	if err := checkTemplate(c.DnTopic); err != nil {
		bad("dn_topic: %w", err)
	} else if err := checkFilter(expand(c.DnTopic, "c", "u")); err != nil {
		bad("dn_topic: %w", err)
	}
	return errors.Join(errs...)
}

// checkTemplate refuses what looks like a placeholder that we do not know.
func checkTemplate(s string) error {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		switch c := s[i+1]; {
		case c == 'c' || c == 'u':
		case c >= 'a' && c <= 'z':
			return fmt.Errorf("%%%c is no placeholder; %%c is the client identifier and %%u the user name", c)
		}
	}
	return nil
}

func checkFilter(filter string) error {
	_, topic, _, err := router.SplitShared(filter)
	if err != nil {
		return err
	}
	return router.ValidateFilter(topic)
}

// expand fills a template in. A placeholder in a name stays as it is.
func expand(template, clientID, username string) string {
	b := make([]byte, 0, len(template)+max(len(clientID), len(username)))
	for i := 0; i < len(template); i++ {
		switch rest := template[i:]; {
		case strings.HasPrefix(rest, "%c"):
			b = append(b, clientID...)
			i++
		case strings.HasPrefix(rest, "%u"):
			b = append(b, username...)
			i++
		default:
			b = append(b, template[i])
		}
	}
	return string(b)
}

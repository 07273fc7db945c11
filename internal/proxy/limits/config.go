// Package limits lets a proxy hold clients to rates, sizes and counts.
//
// What is above a limit is delayed, which is back-pressure on the client; or dropped,
// and acknowledged with code 0x97 to clients of 5.0 and as if all were well to those
// of 3.x; or it ends the connection, with the code that 5.0 has for it: 0x96 for
// rates, 0x95 for sizes, 0x93 for messages in flight. Too many connections are
// refused with 0x97 or 0x9F, and with 3 to clients of 3.x.
//
// Clients of 5.0 are told the packet size and the messages in flight in CONNACK, so
// that well-behaved ones never meet these limits.
package limits

import (
	"errors"
	"fmt"
	"math"

	"github.com/iotctl/iotctl/internal/transport"
)

// What becomes of that which is above a limit.
const (
	Delay      = "delay"
	Drop       = "drop"
	Disconnect = "disconnect"
)

// Config is the limits; those that are zero are none.
type Config struct {
	// ConnectionsPerAddress is how many connections an address may have at a time.
	ConnectionsPerAddress int
	// ConnectRate is of all CONNECT packets together, as in 100/s. One that would be
	// delayed for more than 20 seconds is refused.
	ConnectRate Rate
	// ConnectRatePerAddress is of those from one address.
	ConnectRatePerAddress Rate
	// Publish is about messages that a client sends, Deliver about those that it gets.
	Publish Flow
	Deliver Flow
}

// Flow limits the messages of one direction of a connection.
type Flow struct {
	// Messages is of PUBLISH packets, as in 10/s.
	Messages Rate
	// Bytes is of whole packets, as in 64KB/s; what is above is found out afterwards,
	// so that one packet may be larger.
	Bytes Rate
	// PacketSize is of a whole PUBLISH.
	PacketSize Size
	// InFlight is of messages with QoS 1 and 2 that wait for their acknowledgement.
	InFlight Count
}

// Rate is an amount per time, and what becomes of what is above it: "delay"
// (default), "drop" or "disconnect".
type Rate struct {
	Rate transport.Rate
	Over string
}

// Size is of a packet, and what becomes of those that are larger: "drop" (default) or
// "disconnect".
type Size struct {
	MostBytes int
	Over      string
}

// Count is a number, and what becomes of what is above it: "delay" (default), "drop"
// or "disconnect".
type Count struct {
	Most int
	Over string
}

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.ConnectionsPerAddress < 0 {
		errs = append(errs, fmt.Errorf("connections_per_address: %d is negative", c.ConnectionsPerAddress))
	}
	errs = append(errs,
		oneOf("connect_rate.over", c.ConnectRate.Over, Delay, Disconnect),
		oneOf("connect_rate_per_address.over", c.ConnectRatePerAddress.Over, Delay, Disconnect),
		c.Publish.validate("publish"), c.Deliver.validate("deliver"))
	return errors.Join(errs...)
}

func (f Flow) validate(path string) error {
	errs := []error{
		oneOf(path+".messages.over", f.Messages.Over, Delay, Drop, Disconnect),
		oneOf(path+".bytes.over", f.Bytes.Over, Delay, Drop, Disconnect),
		oneOf(path+".packet_size.over", f.PacketSize.Over, Drop, Disconnect),
		oneOf(path+".in_flight.over", f.InFlight.Over, Delay, Drop, Disconnect),
	}
	if f.PacketSize.MostBytes < 0 || f.PacketSize.MostBytes > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("%s.packet_size.most_bytes: %d is out of range", path, f.PacketSize.MostBytes))
	}
	if f.InFlight.Most < 0 || f.InFlight.Most > math.MaxUint16 {
		errs = append(errs, fmt.Errorf("%s.in_flight.most: %d is out of range: want 0 to %d", path, f.InFlight.Most, math.MaxUint16))
	}
	return errors.Join(errs...)
}

func oneOf(path, value string, of ...string) error {
	if value == "" {
		return nil
	}
	for _, o := range of {
		if value == o {
			return nil
		}
	}
	return fmt.Errorf("%s: %.40q is none of %q", path, value, of)
}

func (f Flow) none() bool {
	return f.Messages.Rate.Count == 0 && f.Bytes.Rate.Count == 0 && f.PacketSize.MostBytes == 0 && f.InFlight.Most == 0
}

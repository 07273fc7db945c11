package pairing

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// Config of the method. The zero value forgets everything at its end.
type Config struct {
	// Path of the file in which approved and rejected devices are remembered;
	// the key of their secrets is beside it, in Path.key. "": in memory only.
	Path string
	// Listeners by name. Clients of others are ignored. nil: all.
	Listeners []string
	// InsecureID lets devices ask that present nothing but names. Somebody who
	// knows the name of an approved one is let in in its place, so it needs
	// Listeners or InsecureNetworks.
	InsecureID bool
	// InsecureNetworks are where such devices are. None: anywhere.
	InsecureNetworks []netip.Prefix
	// MaxPending is how many requests there may be. 0: 1,000.
	MaxPending int
	// MaxPerAddress is how many of them may come from one address. 0: 10.
	MaxPerAddress int
	// Lifetime of a request that is not repeated, a minute at least. 0: 10 minutes.
	Lifetime time.Duration

	Logger *slog.Logger     // nil: discarded
	Now    func() time.Time // nil: time.Now
}

func (c Config) withDefaults() Config {
	if c.MaxPending == 0 {
		c.MaxPending = 1000
	}
	if c.MaxPerAddress == 0 {
		c.MaxPerAddress = 10
	}
	if c.Lifetime == 0 {
		c.Lifetime = 10 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// maxMaxPending keeps the list of requests within one screen of a patient
// operator, and codes short.
const maxMaxPending = 5000

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	var errs []error
	if c.InsecureID && len(c.Listeners) == 0 && len(c.InsecureNetworks) == 0 {
		errs = append(errs, errors.New("insecure_id: anybody can present a name: say where with listeners or insecure_networks"))
	}
	if !c.InsecureID && len(c.InsecureNetworks) > 0 {
		errs = append(errs, errors.New("insecure_networks: it is about insecure_id, which is off"))
	}
	if c.Listeners != nil && len(c.Listeners) == 0 {
		errs = append(errs, errors.New("listeners: the list is empty, so nobody could ask"))
	}
	if slices.Contains(c.Listeners, "") {
		errs = append(errs, errors.New("listeners: a name is empty"))
	}
	for _, n := range []struct {
		name    string
		v, most int
	}{{"max_pending", c.MaxPending, maxMaxPending}, {"max_per_address", c.MaxPerAddress, maxMaxPending}} {
		if n.v < 0 || n.v > n.most {
			errs = append(errs, fmt.Errorf("%s: %d is not between 1 and %d", n.name, n.v, n.most))
		}
	}
	if c.Lifetime != 0 && c.Lifetime < time.Minute {
		errs = append(errs, fmt.Errorf("lifetime: %v is less than a minute", c.Lifetime))
	}
	return errors.Join(errs...)
}

// serves reports whether the listener is one of those that are meant.
func (c *Config) serves(listener string) bool {
	return c.Listeners == nil || slices.Contains(c.Listeners, listener)
}

// trusts reports whether a device at addr may present nothing but names.
func (c *Config) trusts(addr netip.Addr) bool {
	return c.InsecureID && (len(c.InsecureNetworks) == 0 ||
		slices.ContainsFunc(c.InsecureNetworks, func(p netip.Prefix) bool { return p.Contains(addr) }))
}

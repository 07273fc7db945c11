package main

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/iotctl/iotctl/internal/auth/pairing"
	"github.com/iotctl/iotctl/internal/serve"
)

// methodPairing is the key below auth, pairingFile the default file in a data
// directory.
const (
	methodPairing = "pairing"
	pairingFile   = "pairing.json"
)

// pairSettings is the section auth.pairing of the configuration file.
type pairSettings struct {
	File             serve.File // "": pairingFile in the data directory
	Listeners        []string
	InsecureID       bool
	InsecureNetworks []netip.Prefix
	MaxPending       int
	MaxPerAddress    int
	Lifetime         time.Duration
}

func (s pairSettings) config() pairing.Config {
	return pairing.Config{
		Path: string(s.File), Listeners: s.Listeners,
		InsecureID: s.InsecureID, InsecureNetworks: s.InsecureNetworks,
		MaxPending: s.MaxPending, MaxPerAddress: s.MaxPerAddress, Lifetime: s.Lifetime,
	}
}

// Validate returns every problem, with the names of the file.
func (s pairSettings) Validate() error { return s.config().Validate() }

func newPairing(log *slog.Logger, s pairSettings) (serve.Checks, error) {
	c := s.config()
	c.Logger = log
	a, err := pairing.New(c)
	if err != nil {
		return serve.Checks{}, err
	}
	return serve.Checks{Doorkeeper: a, Listeners: s.Listeners}, nil
}

// keepPairing puts into c where approved devices are remembered, unless the
// configuration says so: in the data directory.
func keepPairing(c *serve.Config, dir string) {
	s, on := c.Methods[methodPairing].(pairSettings)
	if on && s.File == "" {
		s.File = serve.File(filepath.Join(dir, pairingFile))
		c.Methods[methodPairing] = s
	}
}

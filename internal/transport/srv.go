package transport

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// target is one server that an SRV record names.
type target struct {
	Endpoint
	names []string
}

// lookup finds the servers of a service, by priority and weight. The
// certificate has to be for the name that the user gave; the target's own name
// will do when it lies within that domain, because whoever can forge DNS
// answers gets no certificate for it.
func (cfg *DialConfig) lookup(ctx context.Context, e Endpoint) ([]target, error) {
	if e.Scheme.SRV == "" {
		return nil, fmt.Errorf("dial %s: there is no SRV service name for %s://", e, e.Scheme.Name)
	}
	r := cfg.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	_, records, err := r.LookupSRV(ctx, e.Scheme.SRV, e.Scheme.Network, e.Host)
	if err != nil {
		x := explainConnect(e.Host, e, err)
		if x.Hint != "" {
			x.Problem, x.Hint = "no such SRV record", "without the SRV look-up the host itself is dialed"
		}
		return nil, x
	}
	var all []target
	for _, rec := range records {
		host := strings.TrimSuffix(rec.Target, ".")
		if host == "" {
			continue // "." says that the service is not there: RFC 2782
		}
		t := target{Endpoint: e, names: []string{e.Host}}
		t.Host, t.Port = host, rec.Port
		if within(host, e.Host) {
			t.names = []string{host, e.Host}
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, &Error{Op: "resolve", Target: e.Host, Problem: "the domain says that it does not offer this service"}
	}
	return all, nil
}

func within(host, domain string) bool {
	host, domain = strings.ToLower(host), strings.ToLower(strings.TrimSuffix(domain, "."))
	return host == domain || strings.HasSuffix(host, "."+domain)
}

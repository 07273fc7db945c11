package serve

import (
	"net/url"
	"strconv"
	"strings"
)

// sysValues are what $SYS says about what is around the broker.
func (s *Server) sysValues() map[string]string {
	values := map[string]string{}
	s.listenerValues(values)
	s.gatewayValues(values)
	s.storeValues(values)
	return values
}

// listenerValues are the counters of the open listeners.
func (s *Server) listenerValues(values map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		c := r.Counters()
		at := "listeners/" + topicLevel(r.name()) + "/"
		values[at+"accepted"] = strconv.FormatUint(c.Accepted, 10)
		values[at+"open"] = strconv.Itoa(c.Open)
		if r.Scheme().Packets {
			values[at+"datagrams/received"] = strconv.FormatUint(c.Received, 10)
			values[at+"datagrams/sent"] = strconv.FormatUint(c.Sent, 10)
			values[at+"bytes/received"] = strconv.FormatUint(c.ReceivedBytes, 10)
			values[at+"bytes/sent"] = strconv.FormatUint(c.SentBytes, 10)
		}
		for why, n := range c.Refused {
			values[at+"refused/"+topicLevel(why)] = strconv.FormatUint(n, 10)
		}
		for why, n := range c.Closed {
			values[at+"closed/"+topicLevel(why)] = strconv.FormatUint(n, 10)
		}
		for why, n := range c.Dropped {
			values[at+"dropped/"+topicLevel(why)] = strconv.FormatUint(n, 10)
		}
	}
}

// gatewayValues are the counters of those gateways that have some of their own.
func (s *Server) gatewayValues(values map[string]string) {
	for protocol, g := range s.gateways {
		c, ok := g.(interface{ Counters() map[string]uint64 })
		if !ok {
			continue
		}
		for name, n := range c.Counters() {
			values["gateways/"+protocol+"/"+name] = strconv.FormatUint(n, 10)
		}
	}
}

// topicLevel is name as one level of a topic: with /, +, # and the like
// percent-encoded.
func topicLevel(name string) string {
	return strings.ReplaceAll(url.PathEscape(name), "+", "%2B")
}

// account logs what each of rs has had to do, for its end.
func (s *Server) account(rs []*running) {
	for _, r := range rs {
		c := r.Counters()
		if r.Scheme().Packets {
			s.log.Info("listener closed", "listener", r.name(), "received", c.Received, "sent", c.Sent,
				"refused", c.Refused, "dropped", c.Dropped)
			continue
		}
		s.log.Info("listener closed", "listener", r.name(), "accepted", c.Accepted, "open", c.Open,
			"refused", c.Refused, "closed", c.Closed, "accept_errors", c.AcceptErrors)
	}
}

package translate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/router"
)

// subscription is what a broker of 3.x is not told of one.
type subscription struct {
	id         uint32 // 0: none
	noRetained bool   // the client wants no retained messages for its last SUBSCRIBE
}

// subscriptions are those of one connection, by topic filter.
type subscriptions struct {
	byFilter map[string]subscription
	special  int // how many the broker does not know all about
}

func (sub subscription) special() bool { return sub.id != 0 || sub.noRetained }

func (s *subscriptions) set(filter string, sub subscription) {
	s.remove(filter)
	s.byFilter[filter] = sub
	if sub.special() {
		s.special++
	}
}

func (s *subscriptions) remove(filter string) {
	if s.byFilter[filter].special() {
		s.special--
	}
	delete(s.byFilter, filter)
}

// found is what a topic is to a client.
type found struct {
	ids      []uint32 // subscription identifiers, none twice
	unwanted bool     // if retained: all filters that match ask for no retained message
}

func (s *subscriptions) match(topic string) (f found) {
	if s.special == 0 {
		return found{}
	}
	matched := false
	for filter, sub := range s.byFilter {
		if !router.Match(filter, topic) {
			continue
		}
		f.unwanted = sub.noRetained && (f.unwanted || !matched)
		matched = true
		if sub.id != 0 && !slices.Contains(f.ids, sub.id) {
			f.ids = append(f.ids, sub.id)
		}
	}
	return f
}

// request is a SUBSCRIBE or UNSUBSCRIBE that waits for its answer.
type request struct {
	filters []string          // behind any share name
	known   []bool            // of SUBSCRIBE: the subscription was there before
	codes   []mqtt.ReasonCode // of SUBSCRIBE: why a filter was not sent on; else Success
}

var errRequests = &proxy.End{
	Why: "requests", Err: fmt.Errorf("more than %d SUBSCRIBE and UNSUBSCRIBE packets without an answer", maxRequests),
	Client: mqtt.QuotaExceeded,
}

func (d *down) subscribe(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, mqtt.V5)
	s, err := mqtt.ParseSubscribe(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	drop(d.conn, s.Properties, mqtt.PropSubscriptionIdentifier)
	id, _ := s.Properties.Varint(mqtt.PropSubscriptionIdentifier)
	out := mqtt.Subscribe{PacketID: s.PacketID, Filters: make([]mqtt.Subscription, 0, len(s.Filters))}
	r := request{
		filters: make([]string, len(s.Filters)), known: make([]bool, len(s.Filters)),
		codes: make([]mqtt.ReasonCode, len(s.Filters)),
	}
	d.mu.Lock()
	if len(d.requests) >= maxRequests {
		d.mu.Unlock()
		return errRequests
	}
	for i, want := range s.Filters {
		_, inner, _, err := router.SplitShared(want.Filter)
		if err != nil || router.ValidateFilter(want.Filter) != nil {
			r.codes[i] = mqtt.TopicFilterInvalid
			continue
		}
		if r.codes[i] = d.refusal(&want, inner); r.codes[i] != mqtt.Success {
			continue
		}
		r.filters[i] = inner
		_, r.known[i] = d.subs.byFilter[inner]
		d.subs.set(inner, subscription{
			id:         id,
			noRetained: want.RetainHandling == 2 || want.RetainHandling == 1 && r.known[i],
		})
		out.Filters = append(out.Filters, mqtt.Subscription{Filter: want.Filter, QoS: want.QoS})
	}
	if len(out.Filters) > 0 {
		d.requests[s.PacketID] = r
	}
	d.mu.Unlock()
	if len(out.Filters) == 0 {
		return proxy.Send(emit, proxy.ToClient, mqtt.V5, mqtt.Suback{PacketID: s.PacketID, Codes: r.codes})
	}
	return proxy.Send(emit, proxy.ToServer, d.to, out)
}

// refusal is why a subscription is not for the broker; Success if it is.
func (d *down) refusal(want *mqtt.Subscription, filter string) mqtt.ReasonCode {
	if want.NoLocal {
		d.conn.Metrics.Dropped("translate", "no-local")
		if d.c.NoLocal == refuse {
			return mqtt.ImplementationSpecificError
		}
	}
	if want.RetainAsPublished {
		d.conn.Metrics.Dropped("translate", "retain-as-published")
	}
	if _, known := d.subs.byFilter[filter]; !known && len(d.subs.byFilter) >= d.c.Subscriptions {
		return mqtt.QuotaExceeded
	}
	return mqtt.Success
}

func (d *down) unsubscribe(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, mqtt.V5)
	u, err := mqtt.ParseUnsubscribe(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	drop(d.conn, u.Properties)
	u.Properties = nil
	r := request{filters: make([]string, len(u.Filters))}
	for i, filter := range u.Filters {
		_, r.filters[i], _, _ = router.SplitShared(filter)
	}
	d.mu.Lock()
	if len(d.requests) >= maxRequests {
		d.mu.Unlock()
		return errRequests
	}
	d.requests[u.PacketID] = r
	d.mu.Unlock()
	return proxy.Send(emit, proxy.ToServer, d.to, u)
}

// reply puts the answer of the broker together with what was answered here.
func (d *down) reply(f proxy.Frame, emit func(proxy.Frame) error) error {
	o := proxy.Options(f.Direction, d.to)
	if f.Header.Type == mqtt.TypeUnsuback {
		u, err := mqtt.ParseUnsuback(f.Body(), f.Header.Flags, &o)
		if err != nil {
			return proxy.Broken(f.Direction, err)
		}
		d.mu.Lock()
		r := d.requests[u.PacketID]
		delete(d.requests, u.PacketID)
		for _, filter := range r.filters {
			d.subs.remove(filter)
		}
		d.mu.Unlock()
		u.Codes = make([]mqtt.ReasonCode, len(r.filters)) // Success each
		if len(u.Codes) == 0 {
			return unasked(f, u.PacketID)
		}
		return proxy.Send(emit, proxy.ToClient, mqtt.V5, u)
	}
	s, err := mqtt.ParseSuback(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	d.mu.Lock()
	r, asked := d.requests[s.PacketID]
	delete(d.requests, s.PacketID)
	codes, err := d.grant(r, s.Codes)
	d.mu.Unlock()
	if !asked || r.codes == nil {
		return unasked(f, s.PacketID)
	}
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	s.Codes = codes
	return proxy.Send(emit, proxy.ToClient, mqtt.V5, s)
}

var errCodes = errors.New("SUBACK has another number of codes than SUBSCRIBE had filters")

// grant puts the codes of the broker where it was asked, and forgets subscriptions
// that it has not made.
func (d *down) grant(r request, codes []mqtt.ReasonCode) ([]mqtt.ReasonCode, error) {
	out := make([]mqtt.ReasonCode, len(r.codes))
	for i, c := range r.codes {
		if c == mqtt.Success {
			if len(codes) == 0 {
				return nil, errCodes
			}
			c, codes = codes[0], codes[1:]
			if c.IsError() && !r.known[i] {
				d.subs.remove(r.filters[i])
			}
		}
		out[i] = c
	}
	if len(codes) > 0 {
		return nil, errCodes
	}
	return out, nil
}

func unasked(f proxy.Frame, id uint16) error {
	return proxy.Broken(f.Direction, fmt.Errorf("%v %d answers nothing", f.Header.Type, id))
}

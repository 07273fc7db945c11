package rewrite

import (
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

func (s *stage) subscribe(f proxy.Frame, emit func(proxy.Frame) error) error {
	v := s.conn.Version
	o := proxy.Options(f.Direction, v)
	in, err := mqtt.ParseSubscribe(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	out := in
	out.Filters = make([]mqtt.Subscription, 0, len(in.Filters))
	codes := make([]mqtt.ReasonCode, len(in.Filters))
	for i, want := range in.Filters {
		if want.Filter, err = s.topics.filter(want.Filter); err != nil {
			codes[i] = mqtt.TopicFilterInvalid
			continue
		}
		want.QoS = s.f.c.Deliver.qos(want.QoS)
		out.Filters = append(out.Filters, want)
	}
	if len(out.Filters) == 0 {
		s.conn.Metrics.Dropped("rewrite", "filter")
		return proxy.Send(emit, f.Direction.Back(), v, mqtt.Suback{PacketID: in.PacketID, Codes: codes})
	}
	if out.PacketID, err = s.request(in.PacketID, codes, len(out.Filters)); err != nil {
		return err
	}
	out.Properties = s.properties(out.Properties, f.Direction, mqtt.In(mqtt.TypeSubscribe))
	return proxy.Send(emit, f.Direction, v, out)
}

// request remembers what was not sent on of a request, and gives it the identifier
// that it goes on with.
func (s *stage) request(id uint16, codes []mqtt.ReasonCode, sent int) (uint16, error) {
	if sent < len(codes) {
		s.conn.Metrics.Dropped("rewrite", "filter")
		if err := s.requests.Add(id, codes); err != nil {
			return 0, err
		}
	}
	return s.exchanges[proxy.ToServer].Request(id)
}

func (s *stage) unsubscribe(f proxy.Frame, emit func(proxy.Frame) error) error {
	v := s.conn.Version
	o := proxy.Options(f.Direction, v)
	in, err := mqtt.ParseUnsubscribe(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	out := in
	out.Filters = make([]string, 0, len(in.Filters))
	codes := make([]mqtt.ReasonCode, len(in.Filters))
	for i, filter := range in.Filters {
		mapped, err := s.topics.filter(filter)
		if err != nil {
			codes[i] = mqtt.TopicFilterInvalid
			continue
		}
		out.Filters = append(out.Filters, mapped)
	}
	if len(out.Filters) == 0 {
		return proxy.Send(emit, f.Direction.Back(), v, mqtt.Unsuback{PacketID: in.PacketID, Codes: codes})
	}
	if out.PacketID, err = s.request(in.PacketID, codes, len(out.Filters)); err != nil {
		return err
	}
	out.Properties = s.properties(out.Properties, f.Direction, mqtt.In(mqtt.TypeUnsubscribe))
	return proxy.Send(emit, f.Direction, v, out)
}

// reply puts the broker's answer together with what was refused here.
func (s *stage) reply(f proxy.Frame, emit func(proxy.Frame) error) error {
	v := s.conn.Version
	o := proxy.Options(f.Direction, v)
	if f.Header.Type == mqtt.TypeUnsuback {
		a, err := mqtt.ParseUnsuback(f.Body(), f.Header.Flags, &o)
		if err != nil {
			return proxy.Broken(f.Direction, err)
		}
		a.PacketID = s.exchanges[proxy.ToServer].Reply(a.PacketID)
		if a.Codes, _, err = s.requests.Merge(a.PacketID, a.Codes); err != nil {
			return err
		}
		a.Properties = s.properties(a.Properties, f.Direction, mqtt.In(mqtt.TypeUnsuback))
		return proxy.Send(emit, f.Direction, v, a)
	}
	a, err := mqtt.ParseSuback(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return proxy.Broken(f.Direction, err)
	}
	a.PacketID = s.exchanges[proxy.ToServer].Reply(a.PacketID)
	if a.Codes, _, err = s.requests.Merge(a.PacketID, a.Codes); err != nil {
		return err
	}
	a.Properties = s.properties(a.Properties, f.Direction, mqtt.In(mqtt.TypeSuback))
	return proxy.Send(emit, f.Direction, v, a)
}

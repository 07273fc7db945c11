package dissect

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// appendMQTT appends what matters most of p. topic is that of an alias.
func appendMQTT(dst []byte, p mqtt.Packet, v mqtt.Version, topic string) []byte {
	switch p := p.(type) {
	case mqtt.Connect:
		return appendConnect(dst, &p)
	case mqtt.Connack:
		return appendConnack(dst, &p, v)
	case mqtt.Publish:
		return appendPublish(dst, &p, topic, false)
	case mqtt.Puback:
		return appendAck(dst, p.PacketID, p.Code, p.Properties, p.Type(), v)
	case mqtt.Pubrec:
		return appendAck(dst, p.PacketID, p.Code, p.Properties, p.Type(), v)
	case mqtt.Pubrel:
		return appendAck(dst, p.PacketID, p.Code, p.Properties, p.Type(), v)
	case mqtt.Pubcomp:
		return appendAck(dst, p.PacketID, p.Code, p.Properties, p.Type(), v)
	case mqtt.Subscribe:
		return appendSubscribe(dst, &p)
	case mqtt.Suback:
		return appendCodes(appendID(dst, p.PacketID), p.Codes, p.Properties, v)
	case mqtt.Unsubscribe:
		dst = appendID(dst, p.PacketID)
		for i, f := range p.Filters[:min(len(p.Filters), summaryParts)] {
			dst = appendName(appendComma(dst, i), f)
		}
		dst = appendMore(dst, len(p.Filters))
	case mqtt.Unsuback:
		return appendCodes(appendID(dst, p.PacketID), p.Codes, p.Properties, v)
	case mqtt.Disconnect:
		if v >= mqtt.V5 {
			dst = append(dst, mqttCodeName(p.Code, mqtt.TypeDisconnect, v)...)
			dst = appendReason(dst, p.Properties)
		}
	case mqtt.Auth:
		dst = append(dst, mqttCodeName(p.Code, mqtt.TypeAuth, v)...)
		if m, ok := p.Properties.Bytes(mqtt.PropAuthenticationMethod); ok {
			dst = appendName(append(dst, ", method "...), m)
		}
		dst = appendReason(dst, p.Properties)
	}
	return dst
}

// appendRead appends what is known of a packet that could not be read to its end.
func (w *mqttWalk) appendRead(dst []byte) []byte {
	for _, q := range [...]struct {
		field, before string
		kind          Kind
	}{{"client id", "client ", Text}, {"packet id", "id ", Number}, {"topic", "", Text}} {
		i := slices.IndexFunc(w.fields, func(f Field) bool { return f.Name == q.field && f.Kind == q.kind })
		if i < 0 {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, q.before...)
		switch v := w.fields[i].Value.(type) {
		case string:
			dst = appendName(dst, v)
		case uint64:
			dst = strconv.AppendUint(dst, v, 10)
		}
	}
	return dst
}

func appendID(dst []byte, id uint16) []byte {
	return strconv.AppendUint(append(dst, "id "...), uint64(id), 10)
}

// appendComma appends what stands before part i of a list that follows something.
func appendComma(dst []byte, i int) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return append(dst, ' ')
}

// summaryBytes is how much of a name a summary has, summaryParts how much of a list.
const (
	summaryBytes = 128
	summaryParts = 8
)

// appendName appends text of the packet, quoted if it would not stand by itself,
// and only its beginning if it is long.
func appendName[S string | []byte](dst []byte, s S) []byte {
	if n := summaryBytes; len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		return append(appendName(dst, s[:n]), "…"...)
	}
	if n := len(s); n == 0 || s[0] == ' ' || s[n-1] == ' ' {
		return strconv.AppendQuote(dst, string(s))
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == ',' {
			return appendUnusual(dst, string(s))
		}
	}
	return append(dst, s...)
}

func appendUnusual(dst []byte, s string) []byte {
	for _, c := range s {
		if c == '"' || c == ',' || c == utf8.RuneError || !strconv.IsPrint(c) {
			return strconv.AppendQuote(dst, s)
		}
	}
	return append(dst, s...)
}

func appendConnect(dst []byte, c *mqtt.Connect) []byte {
	if c.HasUsername {
		dst = append(appendName(dst, c.Username), ", "...)
	}
	dst = appendName(append(dst, "client "...), c.ClientID)
	if w := c.Will; w != nil {
		dst = appendName(append(dst, ", will "...), w.Topic)
		dst = append(dst, " q"...)
		dst = append(dst, '0'+w.QoS)
		if w.Retain {
			dst = append(dst, " r"...)
		}
	}
	return dst
}

func appendConnack(dst []byte, c *mqtt.Connack, v mqtt.Version) []byte {
	dst = append(dst, mqttCodeName(c.Code, mqtt.TypeConnack, v)...)
	if c.SessionPresent {
		dst = append(dst, ", session present"...)
	}
	for _, q := range [...]struct {
		id   mqtt.PropertyID
		name string
	}{
		{mqtt.PropAssignedClientIdentifier, "client"},
		{mqtt.PropServerKeepAlive, "keep alive"},
		{mqtt.PropReceiveMaximum, "receive max"},
		{mqtt.PropMaximumQoS, "max q"},
		{mqtt.PropMaximumPacketSize, "max packet"},
		{mqtt.PropTopicAliasMaximum, "alias max"},
	} {
		for p := range c.Properties.All() {
			if p.ID != q.id {
				continue
			}
			dst = append(append(append(dst, ", "...), q.name...), ' ')
			if p.ID.Wire() == mqtt.WireString {
				dst = appendName(dst, p.Bytes)
			} else {
				dst = strconv.AppendUint(dst, uint64(p.Num), 10)
			}
		}
	}
	return appendReason(dst, c.Properties)
}

// appendReason appends the text that a peer gives for a failure.
func appendReason(dst []byte, p mqtt.Properties) []byte {
	if len(p) > 0 {
		if r, ok := p.Bytes(mqtt.PropReasonString); ok {
			return appendName(append(dst, ", "...), r)
		}
	}
	return dst
}

// appendPublish appends a PUBLISH. plain: its topic is known to need no quotes.
func appendPublish(dst []byte, p *mqtt.Publish, alias string, plain bool) []byte {
	dst = append(dst, 'q', '0'+p.QoS)
	if p.QoS > 0 {
		dst = appendID(append(dst, ' '), p.PacketID)
	}
	if p.Dup {
		dst = append(dst, " dup"...)
	}
	if p.Retain {
		dst = append(dst, " retain"...)
	}
	switch {
	case plain:
		dst = append(append(dst, ' '), p.Topic...)
	case len(p.Topic) > 0 || len(p.Properties) == 0:
		dst = appendName(append(dst, ' '), p.Topic)
	case alias != "":
		dst = appendName(append(dst, ' '), alias)
	}
	if len(p.Properties) > 0 {
		for q := range p.Properties.All() {
			switch q.ID {
			case mqtt.PropTopicAlias:
				dst = strconv.AppendUint(append(dst, " alias "...), uint64(q.Num), 10)
			case mqtt.PropContentType:
				dst = appendName(append(dst, ' '), q.Bytes)
			}
		}
	}
	dst = strconv.AppendUint(append(dst, ' '), uint64(len(p.Payload)), 10)
	dst = append(dst, " B"...)
	return appendPreview(dst, p.Payload)
}

// previewBytes is how much of a text is shown.
const previewBytes = 24

// appendPreview appends the beginning of b, if that is text.
func appendPreview(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	shown := b[:min(len(b), previewBytes)]
	plain := 0
	for plain < len(shown) && ' ' <= shown[plain] && shown[plain] < 0x7f {
		plain++
	}
	if c := shown[min(plain, len(shown)-1)]; c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
		return dst
	}
	start := len(dst)
	dst = append(append(dst, ' '), shown[:plain]...)
	for i := plain; i < len(shown); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			dst = append(dst, ' ')
		case r == utf8.RuneError || !strconv.IsPrint(r):
			return dst[:start]
		default:
			dst = append(dst, b[i:i+n]...)
		}
		i += n
	}
	if len(b) > previewBytes {
		dst = append(dst, "…"...)
	}
	return dst
}

func appendAck(dst []byte, id uint16, c mqtt.ReasonCode, p mqtt.Properties, t mqtt.Type, v mqtt.Version) []byte {
	dst = appendID(dst, id)
	if v >= mqtt.V5 {
		dst = append(append(dst, ' '), mqttCodeName(c, t, v)...)
	}
	return appendReason(dst, p)
}

func appendSubscribe(dst []byte, s *mqtt.Subscribe) []byte {
	dst = appendID(dst, s.PacketID)
	for i, f := range s.Filters[:min(len(s.Filters), summaryParts)] {
		dst = appendName(appendComma(dst, i), f.Filter)
		dst = append(dst, ' ', 'q', '0'+f.QoS)
	}
	dst = appendMore(dst, len(s.Filters))
	if len(s.Properties) > 0 {
		if n, ok := s.Properties.Varint(mqtt.PropSubscriptionIdentifier); ok {
			dst = strconv.AppendUint(append(dst, " sub-id "...), uint64(n), 10)
		}
	}
	return dst
}

// appendCodes appends reason codes: numbers where they grant a QoS, names where they
// do not.
func appendCodes(dst []byte, codes []mqtt.ReasonCode, p mqtt.Properties, v mqtt.Version) []byte {
	for _, c := range codes[:min(len(codes), summaryParts)] {
		dst = append(dst, ' ')
		if c > mqtt.GrantedQoS2 {
			dst = append(dst, mqttCodeName(c, mqtt.TypeSuback, v)...)
		} else {
			dst = strconv.AppendUint(dst, uint64(c), 10)
		}
	}
	return appendReason(appendMore(dst, len(codes)), p)
}

// appendMore says how much of a list of n parts is not there.
func appendMore(dst []byte, n int) []byte {
	if n <= summaryParts {
		return dst
	}
	dst = strconv.AppendInt(append(dst, " … "...), int64(n-summaryParts), 10)
	return append(dst, " more"...)
}

// mqttCodeName is the name of a code as it stands within a line.
func mqttCodeName(c mqtt.ReasonCode, t mqtt.Type, v mqtt.Version) string {
	if c == mqtt.Success && t != mqtt.TypeDisconnect {
		if t == mqtt.TypeConnack && v < mqtt.V5 {
			return "accepted"
		}
		return "success"
	}
	return c.Name(t, v)
}

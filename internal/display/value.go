package display

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// protocols are the names of protocols for people.
var protocols = map[string]string{
	"mqtt": "MQTT", "mqttsn": "MQTT-SN", "mqttsn2": "MQTT-SN", "coap": "CoAP", "coaptcp": "CoAP", "coap+tcp": "CoAP",
	"emqtcp": "EMQ TCP", "iottext": "text", "lwm2m": "LwM2M",
}

// protocol is "MQTT 5.0".
func protocol(name, version string) string {
	if known, ok := protocols[name]; ok {
		name = known
	}
	if version == "" {
		return name
	}
	return name + " " + version
}

// Protocol is the protocol of s for people: "websocket, MQTT 5.0".
func Protocol(s *decode.Stream) string {
	layers := s.Layers
	if s.Protocol != "" {
		layers = append(slices.Clip(layers), protocol(s.Protocol, s.Version))
	}
	return strings.Join(layers, ", ")
}

// units are notes that stand behind a number without a comma.
var units = []string{
	"s", "ms", "µs", "us", "min", "h", "d", "bytes", "byte", "bits", "hops", "%", "km/h", "m", "km", "°", "°C", "V", "mV", "A", "mA", "W", "kW", "kWh", "Hz", "dB", "dBm", "Pa", "hPa", "kPa", "rpm", "l", "L",
}

// appendValue appends what f says, with its note; nothing, if it says nothing
// beside its bytes.
func appendValue(dst []byte, f *dissect.Field) []byte {
	if f.Kind == dissect.Flags && f.Note == "" {
		if _, ok := f.Value.(uint64); ok && len(f.Kids) > 0 {
			return appendSet(dst, f)
		}
	}
	before := len(dst)
	if f.Kind == dissect.Structure && f.Note != "" && f.Note[0] >= '0' && f.Note[0] <= '9' {
		return appendSafe(dst, f.Note) // more than what the marker is
	}
	if f.Kind != dissect.Flags || f.Note == "" || len(f.Kids) == 0 {
		dst = appendBare(dst, f.Value)
	}
	if f.Note == "" {
		return dst
	}
	if len(dst) > before {
		if !slices.Contains(units, f.Note) && f.Kind != dissect.Structure && !strings.HasPrefix(f.Note, "bytes") {
			dst = append(dst, ',')
		}
		dst = append(dst, ' ')
	}
	if n, ok := f.Value.(uint64); ok && n == 1 && f.Note == "bytes" {
		return append(dst, "byte"...)
	}
	return appendSafe(dst, f.Note)
}

// appendBare appends a value without a note. Bytes stand elsewhere.
func appendBare(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendQuoted(dst, v)
	case bool:
		if v {
			return append(dst, "yes"...)
		}
		return append(dst, "no"...)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	case time.Time:
		return v.UTC().AppendFormat(dst, time.RFC3339Nano)
	}
	return dst
}

// appendSet appends the names of the flags of f that are set, "none" if none is.
func appendSet(dst []byte, f *dissect.Field) []byte {
	before := len(dst)
	for i := range f.Kids {
		k := &f.Kids[i]
		switch v := k.Value.(type) {
		case bool:
			if !v {
				continue
			}
			dst = appendSafe(comma(dst, before), k.Name)
		case uint64:
			if v == 0 {
				continue
			}
			dst = appendSafe(comma(dst, before), k.Name)
			dst = strconv.AppendUint(append(dst, ' '), v, 10)
		}
	}
	if len(dst) == before {
		return append(dst, "none"...)
	}
	return dst
}

func comma(dst []byte, before int) []byte {
	if len(dst) > before {
		return append(dst, ", "...)
	}
	return dst
}

// problems lists what is wrong with p: what ended the reading, too.
func problems(p *decode.Packet) []dissect.Problem {
	var m *dissect.Malformed
	if !errors.As(p.Err, &m) || slices.Contains(p.Problems, m.Problem) {
		return p.Problems
	}
	return append(slices.Clip(p.Problems), m.Problem)
}

// worst is the mark of p.
func worst(p *decode.Packet) mark {
	if p.Err != nil {
		return broken
	}
	m := clean
	for i := range p.Problems {
		if !p.Problems[i].Warning {
			return broken
		}
		m = warning
	}
	return m
}

// verdict is "ok", or what is wrong in a few words.
func verdict(p *decode.Packet) string {
	wrong, doubtful := 0, 0
	for _, problem := range problems(p) {
		if problem.Warning {
			doubtful++
		} else {
			wrong++
		}
	}
	var words []string
	if wrong > 0 {
		words = append(words, counted(wrong, "error"))
	}
	if doubtful > 0 {
		words = append(words, counted(doubtful, "warning"))
	}
	if errors.Is(p.Err, dissect.ErrShort) {
		words = append(words, missing(p))
	}
	if len(words) == 0 {
		return "ok"
	}
	return strings.Join(words, ", ")
}

// missing is how much of p is not there.
func missing(p *decode.Packet) string {
	if p.Missing > 0 {
		return string(appendBytes(nil, p.Missing)) + " missing"
	}
	return "incomplete"
}

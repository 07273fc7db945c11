package avro

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/payload"
)

// logical is what a type stands for.
type logical uint8

const (
	plain logical = iota
	dateType
	timeType
	timestampType
	localType
	decimalType
	uuidType
	durationType
)

// Bounds of decimals: a type beyond them is taken as bytes.
const (
	maxDecimalBytes = 1000
	maxScale        = 1000
)

// annotate takes the logical type of o, if s can have it. Others are passed over,
// as the specification has it.
func (s *schema) annotate(o payload.Object) {
	name := text(o, "logicalType")
	unit := map[string]int{"millis": 3, "micros": 6, "nanos": 9}[name[strings.LastIndexByte(name, '-')+1:]]
	switch base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "-millis"), "-micros"), "-nanos"); {
	case name == "date" && s.kind == intKind:
		s.logical = dateType
	case name == "time-millis" && s.kind == intKind, name == "time-micros" && s.kind == longKind:
		s.logical, s.scale = timeType, unit
	case base == "timestamp" && unit > 0 && s.kind == longKind:
		s.logical, s.scale = timestampType, unit
	case base == "local-timestamp" && unit > 0 && s.kind == longKind:
		s.logical, s.scale = localType, unit
	case name == "uuid" && s.kind == fixedKind && s.size == 16:
		s.logical = uuidType
	case name == "duration" && s.kind == fixedKind && s.size == 12:
		s.logical = durationType
	case name == "decimal" && (s.kind == bytesKind || s.kind == fixedKind):
		precision, ok := number(o, "precision")
		scale, _ := number(o, "scale")
		if ok && precision > 0 && scale >= 0 && scale <= min(precision, maxScale) {
			s.logical, s.scale = decimalType, scale
		}
	}
}

const (
	dateLayout  = "2006-01-02"
	timeLayout  = "15:04:05"
	localLayout = dateLayout + "T" + timeLayout
	daySeconds  = 24 * 60 * 60
)

// pow10 is 10 to the n.
func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// integer is n as people read it. Moments beyond the years 0 to 9999 stay numbers.
func (s *schema) integer(n int64) any {
	unit := pow10(s.scale)
	seconds := n / unit
	rest := n % unit
	if rest < 0 {
		seconds, rest = seconds-1, rest+unit
	}
	layout := localLayout
	switch s.logical {
	case dateType:
		seconds, layout = n*daySeconds, dateLayout
	case timeType:
		if n < 0 || seconds >= daySeconds {
			return json.Number(strconv.FormatInt(n, 10))
		}
		layout = timeLayout
	case timestampType, localType:
	default:
		return json.Number(strconv.FormatInt(n, 10))
	}
	t := time.Unix(seconds, 0).UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return json.Number(strconv.FormatInt(n, 10))
	}
	text := t.Format(layout)
	if s.scale > 0 {
		text += fmt.Sprintf(".%0*d", s.scale, rest)
	}
	if s.logical == timestampType {
		text += "Z"
	}
	return text
}

// moment goes back from integer.
func (s *schema) moment(text string) (int64, error) {
	layout, like := localLayout, "2026-05-02T10:30:00"
	switch s.logical {
	case dateType:
		layout, like = dateLayout, "2026-05-02"
	case timeType:
		layout, like = timeLayout, "10:30:00"
	case timestampType:
		layout, like = time.RFC3339, "2026-05-02T10:30:00Z"
	}
	t, err := time.Parse(layout, text) // takes a fraction of seconds, too
	if err != nil {
		return 0, fmt.Errorf("%q is not as in %q", text, like)
	}
	seconds, unit := t.Unix(), pow10(s.scale)
	switch s.logical {
	case dateType:
		return seconds / daySeconds, nil
	case timeType:
		seconds = int64(t.Hour()*3600 + t.Minute()*60 + t.Second())
	}
	part := pow10(9 - s.scale)
	if int64(t.Nanosecond())%part != 0 {
		return 0, fmt.Errorf("%q has more than %d digits of a second", text, s.scale)
	}
	n := seconds*unit + int64(t.Nanosecond())/part
	if n/unit != seconds && n/unit != seconds+1 {
		return 0, fmt.Errorf("%q is beyond what 64 bits hold", text)
	}
	return n, nil
}

// binary is b as people read it.
func (s *schema) binary(b []byte) any {
	switch {
	case s.logical == decimalType && len(b) <= maxDecimalBytes:
		return decimal(b, s.scale)
	case s.logical == uuidType && len(b) == 16:
		h := hex.EncodeToString(b)
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	case s.logical == durationType && len(b) == 12:
		o := payload.Object{}
		for i, name := range durationParts {
			n := binary.LittleEndian.Uint32(b[4*i:])
			o = append(o, payload.Member{Name: name, Value: json.Number(strconv.FormatUint(uint64(n), 10))})
		}
		return o
	}
	return append(payload.Bin{}, b...)
}

var durationParts = [...]string{"months", "days", "millis"}

// decimal is a number in two's complement, big end first, with scale digits
// behind the point.
func decimal(b []byte, scale int) json.Number {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return json.Number(new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale))
}

// unscaled goes back from decimal, into size bytes; -1: as few as it takes.
func (s *schema) unscaled(v json.Number, size int) ([]byte, error) {
	r, ok := payload.Rat(v)
	if !ok {
		return nil, fmt.Errorf("%s is no number", v)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(s.scale)), nil)))
	if !r.IsInt() {
		return nil, fmt.Errorf("%s has more than %d digits behind the point", v, s.scale)
	}
	n := r.Num()
	least := n.BitLen()/8 + 1
	if n.Sign() < 0 { // -128 takes one byte
		least = new(big.Int).Not(n).BitLen()/8 + 1
	}
	if size < 0 {
		size = least
	}
	if size < least || least > maxDecimalBytes {
		return nil, fmt.Errorf("%s does not fit %d bytes", v, min(size, maxDecimalBytes))
	}
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	return n.FillBytes(make([]byte, size)), nil
}

package lwm2m

import (
	"strconv"
	"strings"
)

// Path says of what a message speaks: object, instance, resource and resource
// instance, of which the first Depth are there.
type Path struct {
	Depth int
	IDs   [4]uint16
}

// ParsePath reads "/3303/0/5700". Not ok if that is no path of up to four numbers.
func ParsePath(s string) (p Path, ok bool) {
	if s = strings.TrimPrefix(s, "/"); s == "" {
		return p, true
	}
	for part := range strings.SplitSeq(s, "/") {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || p.Depth == len(p.IDs) {
			return Path{}, false
		}
		p.IDs[p.Depth] = uint16(n)
		p.Depth++
	}
	return p, true
}

// Join is p with one more.
func (p Path) Join(id uint16) Path {
	if p.Depth < len(p.IDs) {
		p.IDs[p.Depth] = id
		p.Depth++
	}
	return p
}

func (p Path) String() string {
	if p.Depth == 0 {
		return "/"
	}
	var b []byte
	for _, id := range p.IDs[:p.Depth] {
		b = strconv.AppendUint(append(b, '/'), uint64(id), 10)
	}
	return string(b)
}

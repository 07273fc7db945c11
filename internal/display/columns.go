package display

import (
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/selector"
)

// Columns shows the values of names, a line for each packet, with tabs between.
type Columns struct {
	Names []string
	// Subject knows the names. It should see all packets, for those that say who a
	// client is.
	Subject *Subject
}

// Append appends the line of p: several values of a name with commas between, and
// nothing for what is not there. Tabs, line feeds and what a terminal would obey are
// escaped, and so are commas in values.
func (c *Columns) Append(dst []byte, p *decode.Packet) []byte {
	c.Subject.Of(p)
	c.Subject.bare = true
	defer func() { c.Subject.bare = false }()
	for i, name := range c.Names {
		if i > 0 {
			dst = append(dst, '\t')
		}
		for j, v := range c.Subject.Lookup(name) {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendCell(dst, v)
		}
	}
	return append(dst, '\n')
}

func appendCell(dst []byte, v selector.Value) []byte {
	before := len(dst)
	dst = appendEscaped(dst, v.String(), ',')
	if len(dst) == before {
		return append(dst, `""`...)
	}
	return dst
}

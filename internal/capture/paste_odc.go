package capture

import (
	"strconv"
	"strings"
)

// odcLine is a line of od -c and hexdump -c: cells of four columns with a character, an
// escape, or three octal digits.
var odcLine = pattern(`^[0-9a-f]{7}(( {3}[ -~])|( {2}\\[0abfnrtv])|( [0-7]{3}))+ *$`)

func looksOdC(p *pasting) string {
	line := p.first()
	if !odcLine().MatchString(line) {
		return ""
	}
	cells := line[7:]
	if len(cells) < 4 || len(tokens(cells, " ")) > 0 && isOctal(strings.ReplaceAll(cells, " ", "")) {
		return "" // numbers alone: od -b
	}
	for i := 0; i+4 <= len(cells); i += 4 {
		if c := cells[i+3]; cells[i:i+3] == "   " && c != ' ' && !isDigits(string(c)) || cells[i+2] == '\\' {
			return "offsets, and characters"
		}
	}
	return ""
}

// readOdC reads od -c, whose offsets are octal, and hexdump -c, whose are not.
func readOdC(p *pasting) error {
	q := *p
	if err := q.odc(8); err != nil && p.odc(16) != nil {
		return err
	} else if err == nil {
		*p = q
	}
	return nil
}

func (p *pasting) odc(base int) error {
	var packet, last []byte
	star := false
	for n, line := range p.lines {
		line = strings.TrimRight(line, " ")
		switch strings.TrimSpace(line) {
		case "":
			continue
		case "*":
			star = true
			continue
		}
		if len(line) < 7 {
			return p.fail(n, 0, "", "no offset of seven digits")
		}
		at, err := strconv.ParseUint(line[:7], base, 63)
		if err != nil {
			return p.fail(n, 0, "", "no offset of seven digits")
		}
		switch have := uint64(len(packet)); {
		case at == 0:
			p.add(packet)
			packet = nil
		case star && at > have && have > 0:
			if err := p.repeat(&packet, last, at, &dumpLine{number: n}); err != nil {
				return err
			}
		case star || at < have || at > have+16:
			return p.fail(n, 0, "a line may be missing", "the offset %s does not go on from the line before", line[:7])
		}
		for at > uint64(len(packet)) { // blanks at the end of the line, which copying has lost
			packet = append(packet, ' ')
		}
		star = false
		b, err := p.odcCells(n, line)
		if err != nil {
			return err
		}
		if len(b) > 0 {
			last = b
		}
		packet = append(packet, b...)
	}
	p.add(packet)
	return nil
}

// odcCells reads the cells of a line.
func (p *pasting) odcCells(n int, line string) ([]byte, error) {
	var b []byte
	for i := 7; i < len(line); i += 4 {
		if len(line)-i < 4 {
			if strings.TrimSpace(line[i:]) != "" {
				return nil, p.fail(n, i, "", "%q is no cell of four columns", line[i:])
			}
			break
		}
		cell := line[i : i+4]
		switch v, err := strconv.ParseUint(cell[1:], 8, 8); {
		case cell[:3] == "   ":
			b = append(b, cell[3])
		case cell[:3] == "  \\" && strings.IndexByte("0abfnrtv", cell[3]) >= 0:
			b = append(b, "\x00\a\b\f\n\r\t\v"[strings.IndexByte("0abfnrtv", cell[3])])
		case err == nil && cell[0] == ' ' && isOctal(cell[1:]):
			b = append(b, byte(v))
		default:
			return nil, p.fail(n, i, "", "%q is neither a character, an escape nor three octal digits", cell)
		}
	}
	return b, nil
}

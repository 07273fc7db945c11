package format

import (
	"strconv"
	"time"
)

// appendStrftime appends what strftime makes of %c in the C locale of the GNU
// library. An unknown conversion appears as it was written.
func appendStrftime(dst []byte, t time.Time, c byte) []byte {
	num := func(n, width int, pad byte) []byte { return appendPadded(dst, int64(n), width, pad) }
	hour12 := func() int { return (t.Hour()+11)%12 + 1 }
	switch c {
	case 'a':
		return t.AppendFormat(dst, "Mon")
	case 'A':
		return t.AppendFormat(dst, "Monday")
	case 'b', 'h':
		return t.AppendFormat(dst, "Jan")
	case 'B':
		return t.AppendFormat(dst, "January")
	case 'c':
		return t.AppendFormat(dst, "Mon Jan _2 15:04:05 2006")
	case 'C':
		return num(t.Year()/100, 2, '0')
	case 'd':
		return num(t.Day(), 2, '0')
	case 'D', 'x':
		return t.AppendFormat(dst, "01/02/06")
	case 'e':
		return num(t.Day(), 2, ' ')
	case 'F':
		return t.AppendFormat(dst, "2006-01-02")
	case 'g':
		year, _ := t.ISOWeek()
		return num(year%100, 2, '0')
	case 'G':
		year, _ := t.ISOWeek()
		return num(year, 1, '0')
	case 'H':
		return num(t.Hour(), 2, '0')
	case 'I':
		return num(hour12(), 2, '0')
	case 'j':
		return num(t.YearDay(), 3, '0')
	case 'k':
		return num(t.Hour(), 2, ' ')
	case 'l':
		return num(hour12(), 2, ' ')
	case 'm':
		return num(int(t.Month()), 2, '0')
	case 'M':
		return num(t.Minute(), 2, '0')
	case 'n':
		return append(dst, '\n')
	case 'p':
		return t.AppendFormat(dst, "PM")
	case 'P':
		return t.AppendFormat(dst, "pm")
	case 'r':
		return t.AppendFormat(dst, "03:04:05 PM")
	case 'R':
		return t.AppendFormat(dst, "15:04")
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 'S':
		return num(t.Second(), 2, '0')
	case 't':
		return append(dst, '\t')
	case 'T', 'X':
		return t.AppendFormat(dst, "15:04:05")
	case 'u':
		return num((int(t.Weekday())+6)%7+1, 1, '0')
	case 'U': // weeks that begin on Sunday
		return num((t.YearDay()+6-int(t.Weekday()))/7, 2, '0')
	case 'V':
		_, week := t.ISOWeek()
		return num(week, 2, '0')
	case 'w':
		return num(int(t.Weekday()), 1, '0')
	case 'W': // weeks that begin on Monday
		return num((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0')
	case 'y':
		return num(t.Year()%100, 2, '0')
	case 'Y':
		return num(t.Year(), 1, '0')
	case 'z':
		return t.AppendFormat(dst, "-0700")
	case 'Z':
		return t.AppendFormat(dst, "MST")
	case '%':
		return append(dst, '%')
	case '+': // not in the GNU library, which repeats what it does not know
		return append(dst, "%+"...)
	}
	return append(dst, '%', c)
}

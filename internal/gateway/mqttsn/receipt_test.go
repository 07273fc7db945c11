package mqttsn

import (
	"testing"
	"time"
)

func TestReceiptsComeBackAsTheyWere(t *testing.T) {
	rs := &receipts{next: 3}
	for i := range rs.all {
		if i%3 != 0 {
			rs.all[i] = receipt{msgID: uint16(i), hash: uint64(i) << 40, released: time.Duration(i % 2)}
		}
	}
	got := decodeReceipts(rs.encode(), 9)
	for _, want := range rs.all {
		found := want.msgID == 0
		for _, r := range got.all {
			found = found || r.msgID == want.msgID && r.hash == want.hash && (r.released != 0) == (want.released != 0)
		}
		if !found {
			t.Errorf("%+v has not come back: %+v", want, got)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, receiptBytes-1)} {
		if got := decodeReceipts(b, 9); got != nil {
			t.Errorf("%x: %+v", b, got)
		}
	}
}

package postgres

import (
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"
)

// byteaArrayCodec encodes the values of a batch into a buffer that is grown once. The
// codec it stands for appends them one by one to a buffer that starts small, which copies
// each several times and leaves three times their size to the garbage collector.
type byteaArrayCodec struct{ pgtype.ArrayCodec }

func newByteaArrayType(types *pgtype.Map) *pgtype.Type {
	element, _ := types.TypeForOID(pgtype.ByteaOID)
	return &pgtype.Type{
		Name: "_bytea", OID: pgtype.ByteaArrayOID,
		Codec: &byteaArrayCodec{pgtype.ArrayCodec{ElementType: element}},
	}
}

// PlanEncode implements pgtype.Codec.
func (c *byteaArrayCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.([][]byte); ok && format == pgtype.BinaryFormatCode {
		return encodeByteaArray{}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

type encodeByteaArray struct{}

// Encode implements pgtype.EncodePlan: it appends the array in PostgreSQL's binary
// format. A nil value is a null.
func (encodeByteaArray) Encode(value any, buf []byte) ([]byte, error) {
	values := value.([][]byte)
	const header, length = 20, 4
	size, nulls := header+length*len(values), uint32(0)
	for _, v := range values {
		size += len(v)
		if v == nil {
			nulls = 1
		}
	}
	buf = slices.Grow(buf, size)
	for _, field := range []uint32{1 /* dimension */, nulls, pgtype.ByteaOID, uint32(len(values)), 1 /* the first index */} {
		buf = binary.BigEndian.AppendUint32(buf, field)
	}
	for _, v := range values {
		if v == nil {
			buf = binary.BigEndian.AppendUint32(buf, 1<<32-1)
			continue
		}
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v)))
		buf = append(buf, v...)
	}
	return buf, nil
}

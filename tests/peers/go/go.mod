module heliogram/tests/peers/go

go 1.21

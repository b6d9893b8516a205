"""Other people's candle files, of whatever format, turned into the columns of the store."""

"""What watches: the funnel worker on Faust, which never touches the money path."""

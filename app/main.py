"""Page configuration and navigation; run by Streamlit on every rerun."""
